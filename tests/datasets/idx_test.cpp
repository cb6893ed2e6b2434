#include "datasets/idx.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kernels/error.hpp"
#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes header(std::uint8_t type, const std::vector<std::uint32_t>& sizes) {
  Bytes bytes = {0, 0, type, static_cast<std::uint8_t>(sizes.size())};
  for (const std::uint32_t size : sizes) {
    for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<std::uint8_t>(size >> shift));
  }
  return bytes;
}

/// An IDX file of unsigned bytes whose values count up from 1, modulo 256.
Bytes counting_file(const std::vector<std::uint32_t>& sizes) {
  Bytes bytes = header(0x08, sizes);
  std::size_t count = 1;
  for (const std::uint32_t size : sizes) count *= size;
  for (std::size_t index = 0; index < count; ++index) bytes.push_back(static_cast<std::uint8_t>(index + 1));
  return bytes;
}

Bytes gzip(const Bytes& plain) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("deflateInit2 failed");
  }
  Bytes input = plain;
  Bytes output(deflateBound(&stream, input.size()));
  stream.next_in = input.data();
  stream.avail_in = static_cast<unsigned>(input.size());
  stream.next_out = output.data();
  stream.avail_out = static_cast<unsigned>(output.size());
  const int status = deflate(&stream, Z_FINISH);
  output.resize(stream.total_out);
  deflateEnd(&stream);
  if (status != Z_STREAM_END) throw std::runtime_error("deflate failed");
  return output;
}

Bytes cut(const Bytes& bytes, std::size_t size) {
  return Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
}

Bytes joined(Bytes first, const Bytes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

/// The message of the EnvironmentError that reading `path` throws; anything else fails the test.
std::string error_of(const std::filesystem::path& path) {
  try {
    read_idx(path);
  } catch (const EnvironmentError& error) {
    return error.what();
  }
  FAIL("no error from " << path);
  return {};
}

/// Caps this process's address space at what it has now and `bytes` more.
class AddressSpaceLimit {
 public:
  explicit AddressSpaceLimit(std::size_t bytes) {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    if (pages == 0 || getrlimit(RLIMIT_AS, &before_) != 0) throw std::runtime_error("no address space size");
    rlimit limit = before_;
    limit.rlim_cur = pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) + bytes;
    if (setrlimit(RLIMIT_AS, &limit) != 0) throw std::runtime_error("no address space limit");
  }
  AddressSpaceLimit(const AddressSpaceLimit&) = delete;
  AddressSpaceLimit& operator=(const AddressSpaceLimit&) = delete;
  ~AddressSpaceLimit() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

TEST_CASE("read_idx reads ranks 1 to 4, plain and gzip, whatever the name", "[idx]") {
  const TemporaryFolder folder;
  const std::vector<std::vector<std::uint32_t>> shapes = {{5}, {2, 3}, {2, 3, 4}, {2, 1, 3, 2}, {1, 70000}};
  for (const std::vector<std::uint32_t>& shape : shapes) {
    const Bytes file = counting_file(shape);
    const Bytes values(file.begin() + 4 + 4 * static_cast<std::ptrdiff_t>(shape.size()), file.end());
    for (const Bytes& stored : {file, gzip(file)}) {
      for (const std::string name : {"array", "array.gz"}) {
        CAPTURE(shape, name, stored.size());
        const IdxArray array = read_idx(folder.write(name, stored));
        CHECK(array.shape == std::vector<std::size_t>(shape.begin(), shape.end()));
        CHECK((array.values == values));
      }
    }
  }
}

TEST_CASE("read_idx reads more than one growth step", "[idx]") {
  const TemporaryFolder folder;
  const Bytes file = counting_file({3, 1 << 20});
  for (const Bytes& stored : {file, gzip(file)}) {
    const IdxArray array = read_idx(folder.write("array", stored));
    CHECK(array.shape == std::vector<std::size_t>{3, 1 << 20});
    CHECK((array.values == Bytes(file.begin() + 12, file.end())));
    CHECK(array.values.capacity() == array.values.size());
  }
}

TEST_CASE("read_idx reads a file of several gzip streams", "[idx]") {
  const TemporaryFolder folder;
  const Bytes file = counting_file({2, 3});
  const Bytes stored = joined(gzip(cut(file, 7)), gzip(Bytes(file.begin() + 7, file.end())));
  CHECK(read_idx(folder.write("array", stored)).values == Bytes{1, 2, 3, 4, 5, 6});
}

TEST_CASE("read_idx says where a plain file is cut off", "[idx]") {
  const TemporaryFolder folder;
  const Bytes file = counting_file({2, 3});
  REQUIRE(file.size() == 18);
  for (std::size_t size = 0; size < file.size(); ++size) {
    const std::filesystem::path path = folder.write("array", cut(file, size));
    const std::string expected = size < 4    ? "an IDX magic of 4 bytes"
                                 : size < 12 ? "a header of 12 bytes for rank 2"
                                             : "18 bytes in all, 6 of them data";
    CHECK(error_of(path) ==
          fmt::format("{}, byte {}: the file ends here, expected {}", path.string(), size, expected));
  }
}

TEST_CASE("read_idx says where the content of a whole gzip stream ends early", "[idx]") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.write("array.gz", gzip(cut(counting_file({2, 3}), 15)));
  CHECK(error_of(path) ==
        path.string() +
            ", uncompressed byte 15: the file ends here, expected 18 bytes in all, 6 of them data");
}

TEST_CASE("read_idx refuses a gzip stream cut off anywhere", "[idx]") {
  const TemporaryFolder folder;
  // Values that do not compress, so that a cut can fall between any two.
  const Bytes stored = gzip(counting_file({2, 30}));
  for (std::size_t size = 2; size < stored.size(); ++size) {
    CAPTURE(size);
    const std::string message = error_of(folder.write("array.gz", cut(stored, size)));
    CHECK(message.find("the gzip stream is cut off here, expected ") != std::string::npos);
    CHECK(message.find(", uncompressed byte ") != std::string::npos);
  }
  // Too short to tell that it was a gzip stream.
  for (const std::size_t size : {0, 1}) {
    const std::string message = error_of(folder.write("array.gz", cut(stored, size)));
    CHECK(message.find(fmt::format(", byte {}: the file ends here", size)) != std::string::npos);
  }
  // The trailer of 8 bytes: all data has come.
  const std::filesystem::path path = folder.write("array.gz", cut(stored, stored.size() - 1));
  CHECK(error_of(path) == path.string() +
                              ", uncompressed byte 72: the gzip stream is cut off here, "
                              "expected the end of the stream, as all data has come");
}

TEST_CASE("read_idx refuses a damaged gzip stream", "[idx]") {
  const TemporaryFolder folder;
  const Bytes file = counting_file({2, 3});
  const Bytes good = gzip(file);
  for (std::size_t from_end = 1; from_end <= 8; ++from_end) {
    Bytes stored = good;
    stored[stored.size() - from_end] ^= 0x10;
    const std::string message = error_of(folder.write("array.gz", stored));
    const std::string reason = from_end <= 4 ? "(incorrect length check)" : "(incorrect data check)";
    CAPTURE(from_end, message);
    CHECK(message.find("the gzip stream is damaged here or later " + reason + ", expected ") !=
          std::string::npos);
  }

  SECTION("with any byte of the deflate data changed, it never gives wrong values") {
    for (std::size_t index = 10; index < good.size() - 8; ++index) {
      Bytes stored = good;
      stored[index] ^= 0x55;
      CAPTURE(index);
      CHECK_THROWS_AS(read_idx(folder.write("array.gz", stored)), EnvironmentError);
    }
  }
  SECTION("with a second stream that is damaged") {
    Bytes stored = joined(good, gzip({}));
    stored.back() ^= 0x10;
    CHECK(error_of(folder.write("array.gz", stored)).find("is damaged") != std::string::npos);
  }
}

TEST_CASE("read_idx refuses bytes after the data", "[idx]") {
  const TemporaryFolder folder;
  const Bytes file = joined(counting_file({2, 3}), {7});
  const std::string what = " 18: the file is oversized: more bytes follow, expected 18 bytes in all";
  const std::filesystem::path path = folder.write("array", file);
  CHECK(error_of(path) == path.string() + ", byte" + what);
  folder.write("array", gzip(file));
  CHECK(error_of(path) == path.string() + ", uncompressed byte" + what);
  folder.write("array", joined(gzip(counting_file({2, 3})), gzip({7})));
  CHECK(error_of(path) == path.string() + ", uncompressed byte" + what);
}

TEST_CASE("read_idx refuses what is neither IDX nor gzip", "[idx]") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.write("array.gz", Bytes{0x89, 'P', 'N', 'G', 1, 2, 3, 4});
  CHECK(error_of(path) == path.string() +
                              ", byte 0: bad magic 89 50 4e 47, expected 00 00 08 and the rank, "
                              "as in an IDX file of bytes, plain or gzip");
  for (const Bytes& magic : {Bytes{1, 0, 8, 1}, Bytes{0, 1, 8, 1}, Bytes{0, 0, 7, 1}, Bytes{0, 0, 0x0a, 1}}) {
    Bytes file = counting_file({2});
    std::copy(magic.begin(), magic.end(), file.begin());
    CAPTURE(magic);
    CHECK(error_of(folder.write("array", file)).find(", byte 0: bad magic ") != std::string::npos);
  }
}

TEST_CASE("read_idx names a type that it does not read", "[idx]") {
  const TemporaryFolder folder;
  const std::vector<std::pair<std::uint8_t, std::string>> types = {
      {0x09, "signed bytes (type 0x09)"},    {0x0b, "16-bit integers (type 0x0b)"},
      {0x0c, "32-bit integers (type 0x0c)"}, {0x0d, "32-bit floats (type 0x0d)"},
      {0x0e, "64-bit floats (type 0x0e)"},
  };
  for (const auto& [type, words] : types) {
    const std::filesystem::path path =
        folder.write("array", joined(header(type, {1}), {0, 0, 0, 0, 0, 0, 0, 0}));
    CHECK(error_of(path) ==
          path.string() + ", byte 2: the file holds " + words + ", expected unsigned bytes (type 0x08)");
  }
}

TEST_CASE("read_idx refuses ranks other than 1 to 4", "[idx]") {
  const TemporaryFolder folder;
  for (const std::size_t rank : {0, 5, 255}) {
    const std::filesystem::path path =
        folder.write("array", joined(header(0x08, std::vector<std::uint32_t>(rank, 1)), {9}));
    CHECK(error_of(path) == fmt::format("{}, byte 3: the rank is {}, expected 1 to 4", path.string(), rank));
  }
}

TEST_CASE("read_idx refuses a zero size", "[idx]") {
  const TemporaryFolder folder;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    std::vector<std::uint32_t> sizes = {2, 3, 4};
    sizes[axis] = 0;
    const std::filesystem::path path = folder.write("array", header(0x08, sizes));
    CHECK(error_of(path) == fmt::format("{}, byte {}: size {} is zero, expected at least 1", path.string(),
                                        4 + 4 * axis, axis + 1));
  }
}

TEST_CASE("read_idx refuses declared sizes over the limit or over 64 bits", "[idx]") {
  const TemporaryFolder folder;
  const std::vector<std::vector<std::uint32_t>> shapes = {
      {1, 0xffffffff, 2},                       // just over the limit
      {0x10000, 0x10001},                       // just over the limit
      {0xffffffff, 0xffffffff},                 // over the limit, within 64 bits
      {0xffffffff, 0xffffffff, 0xffffffff, 1},  // over 64 bits
      {0x80000000, 0x80000000, 4},              // 0 modulo 2^64
      {0x10000, 0x10000, 0x10000, 0x10000},     // 0 modulo 2^64
      {0x80000001, 0x7fffffff, 4, 5},           // within 64 bits, then a little modulo 2^64
  };
  for (const std::vector<std::uint32_t>& shape : shapes) {
    CAPTURE(shape);
    const std::string message = error_of(folder.write("array", joined(header(0x08, shape), Bytes(64))));
    CHECK(message.find("declare more than 4294967296 bytes of data") != std::string::npos);
  }
  // At the limit the sizes pass and the data is what lacks.
  const std::filesystem::path path = folder.write("array", header(0x08, {0x10000, 0x10000}));
  CHECK(error_of(path) == path.string() +
                              ", byte 12: the file ends here, expected 4294967308 bytes in all, "
                              "4294967296 of them data");
}

TEST_CASE("read_idx takes memory for the data that is there, not for what is declared", "[idx]") {
  const TemporaryFolder folder;
  const Bytes file = joined(header(0x08, {0x10000, 0x10000}), Bytes(1 << 20));
  for (const Bytes& stored : {cut(file, 16), file, gzip(cut(file, 16)), gzip(file)}) {
    const std::filesystem::path path = folder.write("array", stored);
    std::string message;
    {
      const AddressSpaceLimit limit(std::size_t{256} << 20);
      message = error_of(path);
    }
    CHECK(message.find("the file ends here") != std::string::npos);
  }
}

TEST_CASE("read_idx says why a file cannot be opened or read", "[idx]") {
  const TemporaryFolder folder;
  const std::filesystem::path missing = folder.path() / "missing";
  CHECK(error_of(missing) == missing.string() + ": cannot be opened: No such file or directory");
  CHECK(error_of(folder.path()) ==
        folder.path().string() +
            ", byte 0: cannot be read: Is a directory, expected an IDX magic of 4 bytes");

  const std::filesystem::path loop = folder.path() / "loop";
  std::filesystem::create_symlink(loop, loop);
  CHECK(error_of(loop) == loop.string() + ": cannot be opened: Too many levels of symbolic links");

  const std::filesystem::path secret = folder.write("secret", counting_file({2}));
  std::filesystem::permissions(secret, std::filesystem::perms::none);
  if (geteuid() != 0) CHECK(error_of(secret) == secret.string() + ": cannot be opened: Permission denied");
}

}  // namespace
}  // namespace orthospike
