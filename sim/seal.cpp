#include "sim/seal.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include "kernels/error.hpp"
#include "sim/final_name.hpp"

namespace orthospike {

namespace {

std::string seal_of(std::uint32_t checksum) {
  return fmt::format("\ncrc32 {:08x}\n", checksum);
}

const std::size_t seal_size = seal_of(0).size();

[[noreturn]] void fail(const std::filesystem::path& file, const std::string& what) {
  throw EnvironmentError(
      fmt::format("{}: {}: {}", file.string(), what, std::generic_category().message(errno)));
}

/// Of the first bytes.
std::uint32_t checksum(std::ifstream& stream, std::uintmax_t size) {
  std::vector<char> block(std::size_t{1} << 20);
  uLong sum = 0;
  while (size > 0 && stream) {
    stream.read(block.data(), static_cast<std::streamsize>(std::min<std::uintmax_t>(size, block.size())));
    const auto count = static_cast<std::size_t>(stream.gcount());
    sum = crc32_z(sum, reinterpret_cast<const Bytef*>(block.data()), count);
    size -= count;
  }
  return static_cast<std::uint32_t>(sum);
}

}  // namespace

void seal(const std::filesystem::path& file) {
  std::ifstream written(file, std::ios::binary);
  const std::string line = seal_of(checksum(written, std::filesystem::file_size(file)));
  std::ofstream stream(file, std::ios::binary | std::ios::app);
  stream << line;
  stream.close();
  if (!written || !stream || !reaches_disk(file)) fail(file, "cannot be written");
}

void require_seal(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) fail(file, "cannot be read");
  const std::uintmax_t size = std::filesystem::file_size(file);
  const std::string expected = size < seal_size ? "?" : seal_of(checksum(stream, size - seal_size));
  std::string found(seal_size, '\0');
  stream.read(found.data(), static_cast<std::streamsize>(seal_size));
  if (!stream || found != expected)
    throw EnvironmentError(
        fmt::format("{}: damaged, its bytes are not those that were written", file.string()));
}

}  // namespace orthospike
