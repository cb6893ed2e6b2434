#include "sim/final_name.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "kernels/error.hpp"

namespace orthospike {

bool reaches_disk(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
  if (descriptor >= 0) ::close(descriptor);
  return synced;
}

void give_final_name(const std::filesystem::path& file, const std::filesystem::path& name) {
  std::error_code error;
  std::filesystem::rename(file, name, error);
  if (error) throw EnvironmentError(fmt::format("{}: {}", name.string(), error.message()));
  // Not all file systems can sync a folder; the file has its name all the same.
  static_cast<void>(reaches_disk(name.has_parent_path() ? name.parent_path() : "."));
}

}  // namespace orthospike
