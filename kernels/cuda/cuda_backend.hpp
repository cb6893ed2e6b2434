#pragma once

#include <memory>

#include "kernels/backend.hpp"
#include "kernels/error.hpp"

namespace orthospike {

/// This machine has no NVIDIA GPU, or none is shown to this program.
class NoCudaDevice : public EnvironmentError {
 public:
  using EnvironmentError::EnvironmentError;
};

/// Whether this program was compiled with the CUDA back end.
bool has_cuda_backend();

/// Throws NoCudaDevice where there is none, EnvironmentError when the driver is missing or too old, there is no
/// device of that number, the device is too old for this build, cuBLAS cannot be loaded, or this program was compiled
/// without the CUDA back end.
std::unique_ptr<Backend> make_cuda_backend(int device_number);

}  // namespace orthospike
