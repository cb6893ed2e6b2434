#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

struct gzFile_s;

namespace orthospike {

/// The bytes of a plain or gzip file, in order, with the position for messages. Its errors are EnvironmentErrors that
/// name the file, the byte (after decompression) and what was expected. As gzip(1) does, it ignores bytes after the
/// end of a gzip stream that start no other one.
class ByteReader {
 public:
  /// Throws where the file cannot be opened.
  explicit ByteReader(const std::filesystem::path& path);

  std::uint64_t offset() const { return offset_; }

  [[noreturn]] void fail(std::uint64_t offset, const std::string& what) const;

  /// Reads some bytes, at most `bytes.size()`; 0 means the file has come to its proper end.
  std::size_t read_some(std::span<std::uint8_t> bytes, const std::string& expected);
  /// Fills `bytes`, or says that the file ends before `expected`.
  void read(std::span<std::uint8_t> bytes, const std::string& expected);
  /// The next `count` bytes; memory grows with those that are there.
  std::vector<std::uint8_t> read_values(std::uint64_t count, const std::string& expected);
  /// Throws where more bytes follow. Also what makes zlib check the end of a gzip stream.
  void expect_end();

 private:
  struct Closer {
    void operator()(gzFile_s* file) const;
  };

  std::string name_;
  std::unique_ptr<gzFile_s, Closer> file_;
  std::uint64_t offset_ = 0;
};

}  // namespace orthospike
