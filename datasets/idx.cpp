#include "datasets/idx.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "kernels/error.hpp"

namespace orthospike {
namespace {

constexpr std::uint8_t unsigned_byte_type = 0x08;
constexpr std::size_t largest_rank = 4;
/// Values asked for at first; each later step doubles what is there.
constexpr std::uint64_t first_step = std::uint64_t{1} << 20;

struct GzipCloser {
  void operator()(gzFile file) const { gzclose_r(file); }
};

std::string system_message(int error_number) {
  return std::generic_category().message(error_number);
}

/// The bytes of a plain or gzip file, in order, with the position for messages.
class ByteReader {
 public:
  explicit ByteReader(const std::filesystem::path& path) : name_(path.string()) {
    errno = 0;
    file_.reset(gzopen(name_.c_str(), "rb"));
    if (file_) return;
    // zlib leaves errno alone when only its own small allocation failed.
    if (errno == 0) throw std::bad_alloc();
    throw EnvironmentError(fmt::format("{}: cannot be opened: {}", name_, system_message(errno)));
  }

  std::uint64_t offset() const { return offset_; }

  [[noreturn]] void fail(std::uint64_t offset, const std::string& what) const {
    const std::string_view unit = gzdirect(file_.get()) != 0 ? "byte" : "uncompressed byte";
    throw EnvironmentError(fmt::format("{}, {} {}: {}", name_, unit, offset, what));
  }

  /// Reads some bytes, at most `bytes.size()`; 0 means the file has come to its proper end.
  std::size_t read_some(std::span<std::uint8_t> bytes, const std::string& expected) {
    constexpr std::size_t largest_request = std::size_t{1} << 30;  // gzread counts in int
    errno = 0;
    const int got =
        gzread(file_.get(), bytes.data(), static_cast<unsigned>(std::min(bytes.size(), largest_request)));
    const int error_number = errno;
    if (got > 0) {
      offset_ += static_cast<std::uint64_t>(got);
      return static_cast<std::size_t>(got);
    }
    // A stream that is cut off reads like a file at its end: only gzerror tells them apart.
    int status = Z_OK;
    std::string_view detail = gzerror(file_.get(), &status);
    if (status == Z_OK || status == Z_STREAM_END) return 0;
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    if (status == Z_BUF_ERROR) {
      fail(offset_, fmt::format("the gzip stream is cut off here, expected {}", expected));
    }
    if (status == Z_ERRNO) {
      fail(offset_, fmt::format("cannot be read: {}, expected {}", system_message(error_number), expected));
    }
    if (detail.starts_with(name_ + ": ")) detail.remove_prefix(name_.size() + 2);
    fail(offset_,
         fmt::format("the gzip stream is damaged here or later ({}), expected {}", detail, expected));
  }

  /// Fills `bytes`, or says that the file ends before `expected`.
  void read(std::span<std::uint8_t> bytes, const std::string& expected) {
    while (!bytes.empty()) {
      const std::size_t got = read_some(bytes, expected);
      if (got == 0) fail(offset_, fmt::format("the file ends here, expected {}", expected));
      bytes = bytes.subspan(got);
    }
  }

 private:
  std::string name_;
  std::unique_ptr<gzFile_s, GzipCloser> file_;
  std::uint64_t offset_ = 0;
};

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

std::vector<std::uint8_t> read_values(ByteReader& reader, std::uint64_t count) {
  std::vector<std::uint8_t> values;
  const std::string expected =
      fmt::format("{} bytes in all, {} of them data", reader.offset() + count, count);
  while (values.size() < count) {
    const std::size_t begin = values.size();
    const std::uint64_t end = std::min(count, std::max<std::uint64_t>(first_step, 2 * begin));
    values.reserve(end);  // resize alone would double the capacity past `count`
    values.resize(end);
    reader.read(std::span(values).subspan(begin), expected);
  }
  return values;
}

}  // namespace

IdxArray read_idx(const std::filesystem::path& path) {
  ByteReader reader(path);
  IdxArray array;
  array.shape = read_shape(reader, read_magic(reader));
  std::uint64_t count = 1;
  for (const std::size_t size : array.shape) count *= size;
  array.values = read_values(reader, count);

  // Also what makes zlib check the end of a gzip stream.
  const std::uint64_t end = reader.offset();
  std::array<std::uint8_t, 1> extra{};
  if (reader.read_some(extra, "the end of the stream, as all data has come") != 0) {
    reader.fail(end, fmt::format("the file is oversized: more bytes follow, expected {} bytes in all", end));
  }
  return array;
}

}  // namespace orthospike
