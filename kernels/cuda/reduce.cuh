#pragma once

#include "kernels/cuda/launch.cuh"

namespace orthospike {

inline constexpr unsigned warp_size = 32;
inline constexpr unsigned whole_warp = 0xffffffffU;
inline constexpr unsigned most_threads = 1024;  ///< of a block
inline constexpr unsigned most_warps = most_threads / warp_size;

__device__ inline unsigned lane_number() {
  return threadIdx.x % warp_size;
}
__device__ inline unsigned warp_number() {
  return threadIdx.x / warp_size;
}

/// Sum over the warp, in every lane, always added in the same order.
template <class T>
__device__ T warp_sum(T value) {
  for (unsigned distance = warp_size / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(whole_warp, value, static_cast<int>(distance));
  return value;
}

/// Sum over the block, in every thread, always added in the same order. All threads must call it; blocks are
/// whole warps.
template <class T>
__device__ T block_sum(T value) {
  __shared__ T of_warps[most_warps];
  const T of_warp = warp_sum(value);
  if (lane_number() == 0) of_warps[warp_number()] = of_warp;
  __syncthreads();
  T sum = 0;
  for (unsigned warp = 0; warp < blockDim.x / warp_size; ++warp) sum += of_warps[warp];
  __syncthreads();  // or the next sum would overwrite what others still read
  return sum;
}

}  // namespace orthospike
