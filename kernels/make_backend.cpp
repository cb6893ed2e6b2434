#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "kernels/backend.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/processors.hpp"
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/error.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

namespace {

/// The N of `cuda:N`.
int device_number(const std::string& name) {
  const std::string_view digits = std::string_view(name).substr(std::string_view("cuda:").size());
  int number = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number < 0) {
    throw ConfigError(fmt::format("run.device: '{}' is no device number; expected cuda:0, cuda:1 …", digits));
  }
  return number;
}

/// The first CUDA device; null where there is none, and with a warning that says why when it cannot be used.
std::unique_ptr<Backend> cuda_if_usable(const Warning& warn) {
  try {
    return make_cuda_backend(0);
  } catch (const NoCudaDevice&) {
    return nullptr;
  } catch (const EnvironmentError& error) {
    if (warn) warn(fmt::format("{}; the cpu computes (--run.device=cpu asks for that)", error.what()));
    return nullptr;
  }
}

}  // namespace

std::vector<std::string> backend_names() {
  std::vector<std::string> names = {"cpu", "reference"};
  if (has_cuda_backend()) names.insert(names.begin(), "cuda");
  return names;
}

std::unique_ptr<Backend> make_backend(const std::string& name, int threads, const Warning& warn) {
  if (name == "auto" && has_cuda_backend()) {
    if (auto cuda = cuda_if_usable(warn)) return cuda;
  }
  if (name == "auto" || name == "cpu") {
    const int processors = usable_processors();
    return std::make_unique<CpuBackend>(threads == 0 ? processors : std::min(threads, processors));
  }
  if (name == "reference") return std::make_unique<ReferenceBackend>();
  if (name == "cuda") return make_cuda_backend(0);
  if (name.starts_with("cuda:")) return make_cuda_backend(device_number(name));
  throw ConfigError(fmt::format("run.device: unknown device '{}'; expected auto or {}", name,
                                fmt::join(backend_names(), ", ")));
}

}  // namespace orthospike
