// Takes the place of all other sources in this folder in a build without CUDA.

#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/error.hpp"

namespace orthospike {

bool has_cuda_backend() {
  return false;
}

std::unique_ptr<Backend> make_cuda_backend(int /*device_number*/) {
  throw EnvironmentError(
      "run.device: this build has no CUDA back end; configure with -DORTHOSPIKE_CUDA=ON or use "
      "--run.device=cpu");
}

}  // namespace orthospike
