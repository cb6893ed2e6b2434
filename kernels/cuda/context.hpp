#pragma once

#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/runtime.hpp"

namespace orthospike {

/// Most blocks of a kernel that adds over its whole grid.
inline constexpr unsigned most_partial_sums = 1024;

/// What the files of the CUDA back end share. Members are destroyed from the last to the first: arrays give
/// their blocks back before the memory goes.
struct CudaBackend::Context {
  int number = 0;
  std::string name;         ///< of the device, with its compute capability
  int multiprocessors = 0;  ///< of the device
  Stream stream;
  BlasHandle blas{stream};
  DeviceMemory memory;
  Array<float> scratch;
  unsigned scratch_moves = 0;  ///< how often scratch got other memory, which graphs of before still refer to
  Array<double> partial_sums;  ///< [most_partial_sums] one a block, of sums over the whole grid
  Array<std::uint32_t> finished;  ///< [1] blocks that have left their partial sum; 0 between operations
};

}  // namespace orthospike
