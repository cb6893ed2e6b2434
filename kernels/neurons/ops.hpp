#pragma once

#include <cmath>
#include <type_traits>

/// Stands before what a neuron model computes. Inlined always, because the vectors of the CPU are of an instruction set
/// that a template of its own is not compiled for: g++ would call a function for every word of `ops`.
#ifdef __CUDACC__
#define ORTHOSPIKE_STEP __host__ __device__ __forceinline__
#else
#define ORTHOSPIKE_STEP [[gnu::always_inline]] inline
#endif

namespace orthospike {

/// The words in which neuron models are written, for one float or double on the host or a device; cpu/neurons.cpp has
/// them for vectors. Each rounds once; products and sums are fused where fma or fnma says so, and nowhere else.
template <class V>
struct ScalarOps {
  template <class X>
  ORTHOSPIKE_STEP V set(X x) const {
    return static_cast<V>(x);
  }
  ORTHOSPIKE_STEP V add(V a, V b) const { return a + b; }
  ORTHOSPIKE_STEP V sub(V a, V b) const { return a - b; }
  ORTHOSPIKE_STEP V mul(V a, V b) const { return a * b; }
  ORTHOSPIKE_STEP V div(V a, V b) const { return a / b; }
  /// a · b + c
  ORTHOSPIKE_STEP V fma(V a, V b, V c) const {
    if constexpr (std::is_same_v<V, float>) {
      return ::fmaf(a, b, c);
    } else {
      return ::fma(a, b, c);
    }
  }
  /// c - a · b
  ORTHOSPIKE_STEP V fnma(V a, V b, V c) const { return fma(-a, b, c); }
  ORTHOSPIKE_STEP V abs(V a) const { return a < V(0) ? -a : a; }
  ORTHOSPIKE_STEP V max(V a, V b) const { return a > b ? a : b; }
  ORTHOSPIKE_STEP V exp(V a) const {
    if constexpr (std::is_same_v<V, float>) {
      return ::expf(a);
    } else {
      return ::exp(a);
    }
  }
  ORTHOSPIKE_STEP bool ge(V a, V b) const { return a >= b; }
  ORTHOSPIKE_STEP bool gt(V a, V b) const { return a > b; }
  ORTHOSPIKE_STEP bool both(bool a, bool b) const { return a && b; }
  ORTHOSPIKE_STEP V select(bool condition, V a, V b) const { return condition ? a : b; }
  /// a where the condition holds, else 0
  ORTHOSPIKE_STEP V where(bool condition, V a) const { return condition ? a : V(0); }
};

}  // namespace orthospike
