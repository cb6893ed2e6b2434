#pragma once

// Apart from launch.cuh, because nvcc reads Thrust's headers for longer than it compiles most kernels.

#include "kernels/cuda/runtime.hpp"

#ifdef ORTHOSPIKE_EMULATED_DEVICE
#include "tests/emulation/thrust_policy.hpp"
#else
#include <thrust/system/cuda/execution_policy.h>
#endif

namespace orthospike {

/// Where Thrust's algorithms run: queued on the stream, without waiting.
inline auto thrust_policy([[maybe_unused]] const Stream& stream) {
#ifdef ORTHOSPIKE_EMULATED_DEVICE
  return emulation::DevicePolicy();
#else
  return thrust::cuda::par_nosync.on(stream.get());
#endif
}

}  // namespace orthospike
