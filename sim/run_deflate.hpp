#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace orthospike {

/// A zlib stream (RFC 1950) of bytes that are mostly long runs of one byte, as shuffled spikes are: made in the time that
/// its own bytes take, where deflate looks at every byte that it compresses. One block with fixed Huffman codes, whose
/// matches are all of distance 1.
class RunDeflate {
 public:
  RunDeflate();

  void run(std::uint8_t byte, std::size_t count);
  /// Bytes among which runs are looked for.
  void bytes(std::span<const std::uint8_t> values);
  /// Bytes that have none.
  void literals(std::span<const std::uint8_t> values);
  /// The stream; nothing can be added after that.
  std::vector<std::uint8_t> finish();

 private:
  void put(std::uint32_t bits, unsigned count);
  void put_run();

  std::vector<std::uint8_t> stream_;
  std::uint64_t bits_ = 0;  ///< that are not in the stream yet
  unsigned bit_count_ = 0;
  std::uint32_t checksum_ = 1;  ///< Adler-32
  std::uint8_t byte_ = 0;       ///< of a run that may go on
  std::size_t run_ = 0;
};

}  // namespace orthospike
