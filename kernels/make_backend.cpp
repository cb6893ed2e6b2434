#include <fmt/format.h>
#include <fmt/ranges.h>

#include <thread>

#include "kernels/backend.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/error.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

std::vector<std::string> backend_names() {
  return {"cpu", "reference"};
}

std::unique_ptr<Backend> make_backend(const std::string& name, int threads) {
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  if (name == "auto" || name == "cpu") return std::make_unique<CpuBackend>(threads == 0 ? cores : threads);
  if (name == "reference") return std::make_unique<ReferenceBackend>();
  throw ConfigError(fmt::format("run.device: unknown device '{}'; expected auto or {}", name,
                                fmt::join(backend_names(), ", ")));
}

}  // namespace orthospike
