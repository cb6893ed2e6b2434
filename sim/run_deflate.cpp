#include "sim/run_deflate.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <utility>

namespace orthospike {

namespace {

struct Code {
  std::uint32_t bits = 0;  ///< the first one lowest
  unsigned count = 0;
};

/// A Huffman code's first bit is its highest.
constexpr Code huffman(std::uint32_t code, unsigned count) {
  std::uint32_t bits = 0;
  for (unsigned i = 0; i < count; ++i) bits |= (code >> i & 1U) << (count - 1 - i);
  return {bits, count};
}

/// The fixed codes of RFC 1951, 3.2.6.
constexpr Code symbol(std::uint32_t value) {
  if (value < 144) return huffman(0x30 + value, 8);
  if (value < 256) return huffman(0x190 + value - 144, 9);
  if (value < 280) return huffman(value - 256, 7);
  return huffman(0xC0 + value - 280, 8);
}

constexpr std::uint32_t end_of_block = 256;
constexpr std::size_t shortest_match = 3, longest_match = 258;

constexpr std::array<Code, 256> make_literals() {
  std::array<Code, 256> codes;
  for (std::uint32_t byte = 0; byte < 256; ++byte) codes[byte] = symbol(byte);
  return codes;
}

/// Of matches of each length at distance 1: that of the length, its extra bits and the five zeros of the distance.
constexpr std::array<Code, longest_match + 1> make_matches() {
  std::array<Code, longest_match + 1> codes;
  std::uint32_t value = 257;
  unsigned extra = 0;
  for (std::size_t base = shortest_match; base < longest_match; ++value) {
    if (value >= 265 && (value - 265) % 4 == 0) ++extra;
    const Code length = symbol(value);
    for (std::uint32_t rest = 0; rest < 1U << extra && base < longest_match; ++rest, ++base)
      codes[base] = {length.bits | rest << length.count, length.count + extra + 5};
  }
  const Code longest = symbol(285);
  codes[longest_match] = {longest.bits, longest.count + 5};
  return codes;
}

constexpr std::array<Code, 256> literal_codes = make_literals();
constexpr std::array<Code, longest_match + 1> match_codes = make_matches();

/// Adler-32 of `count` times the same byte behind what has `checksum`.
std::uint32_t with_run(std::uint32_t checksum, std::uint8_t byte, std::uint64_t count) {
  constexpr std::uint64_t modulus = 65521;
  constexpr std::uint64_t at_once = 1U << 20;  // sums stay below 2^64
  std::uint64_t low = checksum & 0xFFFFU, high = checksum >> 16;
  for (; count > 0; count -= std::min(count, at_once)) {
    const std::uint64_t n = std::min(count, at_once);
    high = (high + n * low + byte * (n * (n + 1) / 2)) % modulus;
    low = (low + n * byte) % modulus;
  }
  return static_cast<std::uint32_t>(high << 16 | low);
}

}  // namespace

RunDeflate::RunDeflate() : stream_{0x78, 0x01} {
  put(1, 1);  // the last block
  put(1, 2);  // with fixed codes
}

void RunDeflate::put(std::uint32_t bits, unsigned count) {
  bits_ |= std::uint64_t{bits} << bit_count_;
  bit_count_ += count;
  if (bit_count_ < 32) return;
  const auto word = static_cast<std::uint32_t>(bits_);
  for (unsigned shift = 0; shift < 32; shift += 8)
    stream_.push_back(static_cast<std::uint8_t>(word >> shift));
  bits_ >>= 32;
  bit_count_ -= 32;
}

void RunDeflate::run(std::uint8_t byte, std::size_t count) {
  if (run_ > 0 && byte != byte_) put_run();
  byte_ = byte;
  run_ += count;
}

void RunDeflate::put_run() {
  std::size_t left = std::exchange(run_, 0);
  if (left == 0) return;
  checksum_ = with_run(checksum_, byte_, left);
  const Code literal = literal_codes[byte_];
  put(literal.bits, literal.count);
  for (--left; left >= shortest_match;) {
    // No rest that is too short for a match of its own, if it can be helped.
    const std::size_t length = left > longest_match && left < longest_match + shortest_match
                                   ? longest_match - shortest_match
                                   : std::min(left, longest_match);
    put(match_codes[length].bits, match_codes[length].count);
    left -= length;
  }
  for (; left > 0; --left) put(literal.bits, literal.count);
}

void RunDeflate::bytes(std::span<const std::uint8_t> values) {
  for (std::size_t first = 0; first < values.size();) {
    const std::uint8_t byte = values[first];
    std::size_t end = first + 1;
    while (end < values.size() && values[end] == byte) ++end;
    run(byte, end - first);
    first = end;
  }
}

void RunDeflate::literals(std::span<const std::uint8_t> values) {
  put_run();
  checksum_ = static_cast<std::uint32_t>(adler32_z(checksum_, values.data(), values.size()));
  for (const std::uint8_t byte : values) put(literal_codes[byte].bits, literal_codes[byte].count);
}

std::vector<std::uint8_t> RunDeflate::finish() {
  put_run();
  put(symbol(end_of_block).bits, symbol(end_of_block).count);
  put(0, (8 - bit_count_ % 8) % 8);
  for (; bit_count_ > 0; bit_count_ -= 8, bits_ >>= 8) stream_.push_back(static_cast<std::uint8_t>(bits_));
  for (unsigned shift = 32; shift > 0; shift -= 8)
    stream_.push_back(static_cast<std::uint8_t>(checksum_ >> (shift - 8)));
  return std::move(stream_);
}

}  // namespace orthospike
