#pragma once

// CUDA's vocabulary of device code for a host compiler. The toolkit's headers already define most keywords as
// nothing there; this file gives the others a meaning on the emulated device.

#include <math.h>
#include <vector_types.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

#include "tests/emulation/scheduler.hpp"

#define __launch_bounds__(...)

// One variable for the whole program, because only one block runs at a time. The tag becomes part of the
// variable's symbol: by it the device finds all of them, to fill them with garbage before each block.
#undef __shared__
#define __shared__ static __attribute__((abi_tag("emushared")))

inline constexpr int warpSize = static_cast<int>(orthospike::emulation::lanes_per_warp);

// Set whenever another thread goes on.
extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;

// Barriers and exchanges. `where` tells divergence: all threads must come to the same call.

inline void __syncthreads(std::source_location where = std::source_location::current()) {
  orthospike::emulation::meet_block({"__syncthreads", where}, 0);
}
inline int __syncthreads_count(int predicate, std::source_location where = std::source_location::current()) {
  return static_cast<int>(
      orthospike::emulation::meet_block({"__syncthreads_count", where}, predicate != 0 ? 1 : 0));
}
inline int __syncthreads_or(int predicate, std::source_location where = std::source_location::current()) {
  return orthospike::emulation::meet_block({"__syncthreads_or", where}, predicate != 0 ? 1 : 0) != 0;
}
inline int __syncthreads_and(int predicate, std::source_location where = std::source_location::current()) {
  return orthospike::emulation::meet_block({"__syncthreads_and", where}, predicate == 0 ? 1 : 0) == 0;
}

inline void __syncwarp(unsigned mask = 0xffffffffU,
                       std::source_location where = std::source_location::current()) {
  orthospike::emulation::vote({"__syncwarp", where}, mask, false);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              std::source_location where = std::source_location::current()) {
  return orthospike::emulation::vote({"__ballot_sync", where}, mask, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate,
                      std::source_location where = std::source_location::current()) {
  return orthospike::emulation::vote({"__any_sync", where}, mask, predicate != 0) != 0;
}
inline int __all_sync(unsigned mask, int predicate,
                      std::source_location where = std::source_location::current()) {
  return orthospike::emulation::vote({"__all_sync", where}, mask, predicate == 0) == 0;
}

namespace orthospike::emulation {

/// The types that CUDA's shuffles are overloaded for, but those of 16 bits.
template <class T>
concept Shuffled = std::is_arithmetic_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

template <Shuffled T>
T shuffled(const Meeting& meeting, unsigned mask, T value, Shuffle kind, unsigned operand, int width) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = shuffle(meeting, mask, bits, kind, operand, width);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace orthospike::emulation

template <orthospike::emulation::Shuffled T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize,
              std::source_location where = std::source_location::current()) {
  return orthospike::emulation::shuffled({"__shfl_sync", where}, mask, value,
                                         orthospike::emulation::Shuffle::index, static_cast<unsigned>(source),
                                         width);
}
template <orthospike::emulation::Shuffled T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = warpSize,
                 std::source_location where = std::source_location::current()) {
  return orthospike::emulation::shuffled({"__shfl_up_sync", where}, mask, value,
                                         orthospike::emulation::Shuffle::up, distance, width);
}
template <orthospike::emulation::Shuffled T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = warpSize,
                   std::source_location where = std::source_location::current()) {
  return orthospike::emulation::shuffled({"__shfl_down_sync", where}, mask, value,
                                         orthospike::emulation::Shuffle::down, distance, width);
}
template <orthospike::emulation::Shuffled T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = warpSize,
                  std::source_location where = std::source_location::current()) {
  return orthospike::emulation::shuffled({"__shfl_xor_sync", where}, mask, value,
                                         orthospike::emulation::Shuffle::exclusive_or,
                                         static_cast<unsigned>(bits), width);
}

// Memory. Threads take turns at barriers and exchanges only, so that nothing comes in between here.

inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T>
T __ldg(const T* address) {
  return *address;
}

namespace orthospike::emulation {

template <class T>
concept AtomicInteger = std::is_integral_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

template <class T>
concept Atomic = AtomicInteger<T> || std::is_same_v<T, float> || std::is_same_v<T, double>;

/// Replaces the value; returns the old one, as all of CUDA's atomic functions do.
template <class T>
T exchanged(T* address, T value) {
  const T old = *address;
  *address = value;
  return old;
}

}  // namespace orthospike::emulation

template <orthospike::emulation::Atomic T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return orthospike::emulation::exchanged(address, static_cast<T>(*address + value));
}
template <orthospike::emulation::AtomicInteger T>
T atomicSub(T* address, std::type_identity_t<T> value) {
  return orthospike::emulation::exchanged(address, static_cast<T>(*address - value));
}
template <orthospike::emulation::Atomic T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return orthospike::emulation::exchanged(address, value);
}
template <orthospike::emulation::AtomicInteger T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return orthospike::emulation::exchanged(address, *address == expected ? value : *address);
}
template <orthospike::emulation::AtomicInteger T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return orthospike::emulation::exchanged(address, value < *address ? value : *address);
}
template <orthospike::emulation::AtomicInteger T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return orthospike::emulation::exchanged(address, value > *address ? value : *address);
}
template <orthospike::emulation::AtomicInteger T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
  return orthospike::emulation::exchanged(address, static_cast<T>(*address & value));
}
template <orthospike::emulation::AtomicInteger T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return orthospike::emulation::exchanged(address, static_cast<T>(*address | value));
}

// Arithmetic that the host's <math.h> lacks.

inline int __popc(unsigned bits) {
  return std::popcount(bits);
}
inline int __popcll(unsigned long long bits) {
  return std::popcount(bits);
}
inline int __clz(int bits) {
  return std::countl_zero(static_cast<unsigned>(bits));
}
inline int __ffs(int bits) {
  return bits == 0 ? 0 : std::countr_zero(static_cast<unsigned>(bits)) + 1;
}
inline float rsqrtf(float value) {
  return 1.0F / std::sqrt(value);
}

/// Of a number and a NaN CUDA's min and max return the number.
template <class A, class B>
requires std::is_arithmetic_v<A> && std::is_arithmetic_v<B> std::common_type_t<A, B> min(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>)
    return std::fmin(static_cast<T>(a), static_cast<T>(b));
  else
    return static_cast<T>(b) < static_cast<T>(a) ? static_cast<T>(b) : static_cast<T>(a);
}
template <class A, class B>
requires std::is_arithmetic_v<A> && std::is_arithmetic_v<B> std::common_type_t<A, B> max(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>)
    return std::fmax(static_cast<T>(a), static_cast<T>(b));
  else
    return static_cast<T>(a) < static_cast<T>(b) ? static_cast<T>(b) : static_cast<T>(a);
}
