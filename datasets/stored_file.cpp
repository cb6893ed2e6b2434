#include "datasets/stored_file.hpp"

#include <fmt/format.h>

#include "kernels/error.hpp"

namespace orthospike {

namespace fs = std::filesystem;

std::optional<fs::path> stored_file(const fs::path& folder, std::string_view name, std::error_code& error) {
  const fs::path plain = folder / name;
  if (fs::is_regular_file(fs::status(plain, error))) return plain;
  fs::path compressed = plain;
  compressed += ".gz";
  std::error_code ignored;
  if (fs::is_regular_file(fs::status(compressed, ignored))) return compressed;
  return std::nullopt;
}

fs::path required_file(const fs::path& folder, std::string_view name) {
  std::error_code error;
  const std::optional<fs::path> path = stored_file(folder, name, error);
  if (path) return *path;
  const std::string reason = error ? error.message() : "Not a regular file";
  throw EnvironmentError(
      fmt::format("{}: {}, expected this file, plain or with .gz", (folder / name).string(), reason));
}

}  // namespace orthospike
