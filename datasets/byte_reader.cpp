#include "datasets/byte_reader.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <string_view>
#include <system_error>

#include "kernels/error.hpp"

namespace orthospike {
namespace {

/// Values asked for at first; each later step doubles what is there.
constexpr std::uint64_t first_step = std::uint64_t{1} << 20;

std::string system_message(int error_number) {
  return std::generic_category().message(error_number);
}

}  // namespace

void ByteReader::Closer::operator()(gzFile_s* file) const {
  gzclose_r(file);
}

ByteReader::ByteReader(const std::filesystem::path& path) : name_(path.string()) {
  errno = 0;
  file_.reset(gzopen(name_.c_str(), "rb"));
  if (file_) return;
  // zlib leaves errno alone when only its own small allocation failed.
  if (errno == 0) throw std::bad_alloc();
  throw EnvironmentError(fmt::format("{}: cannot be opened: {}", name_, system_message(errno)));
}

void ByteReader::fail(std::uint64_t offset, const std::string& what) const {
  const std::string_view unit = gzdirect(file_.get()) != 0 ? "byte" : "uncompressed byte";
  throw EnvironmentError(fmt::format("{}, {} {}: {}", name_, unit, offset, what));
}

std::size_t ByteReader::read_some(std::span<std::uint8_t> bytes, const std::string& expected) {
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
  fail(offset_, fmt::format("the gzip stream is damaged here or later ({}), expected {}", detail, expected));
}

void ByteReader::read(std::span<std::uint8_t> bytes, const std::string& expected) {
  while (!bytes.empty()) {
    const std::size_t got = read_some(bytes, expected);
    if (got == 0) fail(offset_, fmt::format("the file ends here, expected {}", expected));
    bytes = bytes.subspan(got);
  }
}

std::vector<std::uint8_t> ByteReader::read_values(std::uint64_t count, const std::string& expected) {
  std::vector<std::uint8_t> values;
  while (values.size() < count) {
    const std::size_t begin = values.size();
    const std::uint64_t end = std::min(count, std::max<std::uint64_t>(first_step, 2 * begin));
    values.reserve(end);  // resize alone would double the capacity past `count`
    values.resize(end);
    read(std::span(values).subspan(begin), expected);
  }
  return values;
}

void ByteReader::expect_end() {
  const std::uint64_t end = offset_;
  std::array<std::uint8_t, 1> extra{};
  if (read_some(extra, "the end of the stream, as all data has come") != 0)
    fail(end, fmt::format("the file is oversized: more bytes follow, expected {} bytes in all", end));
}

}  // namespace orthospike
