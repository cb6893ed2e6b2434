#include "datasets/idx.hpp"

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>

#include "datasets/byte_reader.hpp"

namespace orthospike {
namespace {

constexpr std::uint8_t unsigned_byte_type = 0x08;
constexpr std::size_t largest_rank = 4;

std::string_view type_name(std::uint8_t type) {
  switch (type) {
    case 0x09:
      return "signed bytes";
    case 0x0b:
      return "16-bit integers";
    case 0x0c:
      return "32-bit integers";
    case 0x0d:
      return "32-bit floats";
    case 0x0e:
      return "64-bit floats";
    default:
      return {};
  }
}

/// Reads the magic and returns the rank.
std::size_t read_magic(ByteReader& reader) {
  std::array<std::uint8_t, 4> magic{};
  reader.read(magic, "an IDX magic of 4 bytes");
  const auto [first, second, type, rank] = magic;
  const bool starts_like_idx = first == 0 && second == 0;
  if (starts_like_idx && !type_name(type).empty()) {
    reader.fail(2, fmt::format("the file holds {} (type 0x{:02x}), expected unsigned bytes (type 0x08)",
                               type_name(type), type));
  }
  if (!starts_like_idx || type != unsigned_byte_type) {
    reader.fail(0,
                fmt::format("bad magic {:02x} {:02x} {:02x} {:02x}, expected 00 00 08 and the rank, as in an "
                            "IDX file of bytes, plain or gzip",
                            first, second, type, rank));
  }
  if (rank < 1 || rank > largest_rank) {
    reader.fail(3, fmt::format("the rank is {}, expected 1 to {}", rank, largest_rank));
  }
  return rank;
}

/// Reads the sizes; their product is at most idx_largest_size.
std::vector<std::size_t> read_shape(ByteReader& reader, std::size_t rank) {
  std::vector<std::size_t> shape;
  std::uint64_t count = 1;
  const std::string expected = fmt::format("a header of {} bytes for rank {}", 4 + 4 * rank, rank);
  while (shape.size() < rank) {
    const std::uint64_t offset = reader.offset();
    std::array<std::uint8_t, 4> bytes{};
    reader.read(bytes, expected);
    std::uint32_t size = 0;
    for (const std::uint8_t byte : bytes) size = size << 8 | byte;
    if (size == 0) reader.fail(offset, fmt::format("size {} is zero, expected at least 1", shape.size() + 1));
    if (size > idx_largest_size / count) {
      reader.fail(offset,
                  fmt::format("the sizes up to {} declare more than {} bytes of data, expected at most that",
                              size, idx_largest_size));
    }
    count *= size;
    shape.push_back(size);
  }
  return shape;
}

}  // namespace

IdxArray read_idx(const std::filesystem::path& path) {
  ByteReader reader(path);
  IdxArray array;
  array.shape = read_shape(reader, read_magic(reader));
  std::uint64_t count = 1;
  for (const std::size_t size : array.shape) count *= size;
  const std::string expected =
      fmt::format("{} bytes in all, {} of them data", reader.offset() + count, count);
  array.values = reader.read_values(count, expected);
  reader.expect_end();
  return array;
}

}  // namespace orthospike
