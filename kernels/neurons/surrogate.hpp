#pragma once

#include "kernels/neurons/ops.hpp"

namespace orthospike {

/// What stands for the derivative of a spike by its margin m, with slope a:
///   sigmoid       a σ(a m) (1 - σ(a m))
///   arctan        a/2 / (1 + (π/2 · a m)²)
///   fast_sigmoid  1 / (1 + a |m|)²           (Zenke & Ganguli, 2018)
///   triangle      a max(0, 1 - a |m|)
enum class Surrogate { sigmoid, arctan, fast_sigmoid, triangle };

/// How errors travel back through neurons.
struct SurrogateDerivative {
  Surrogate surrogate = Surrogate::sigmoid;
  float slope = 0;
  /// Back through potentials and synapses in time too. Without it only within each step, and through
  /// adaptation: what is left for presynaptic traces to carry forward in time.
  bool through_time = true;
  bool detached_reset = true;      ///< no error through the spike that resets
  bool through_adaptation = true;  ///< or whatever else of the state moves the threshold

  /// ψ(margin)
  template <class Ops, class V>
  ORTHOSPIKE_STEP V operator()(const Ops& ops, V margin) const {
    const V one = ops.set(1.0F);
    const V x = ops.abs(ops.mul(ops.set(slope), margin));
    switch (surrogate) {
      case Surrogate::sigmoid: {
        const V e = ops.exp(ops.sub(ops.set(0.0F), x));
        const V sum = ops.add(one, e);
        return ops.div(ops.mul(ops.set(slope), e), ops.mul(sum, sum));
      }
      case Surrogate::arctan: {
        const V y = ops.mul(ops.set(1.57079632679489662), x);
        return ops.div(ops.set(slope / 2.0F), ops.fma(y, y, one));
      }
      case Surrogate::fast_sigmoid: {
        const V sum = ops.add(one, x);
        return ops.div(one, ops.mul(sum, sum));
      }
      case Surrogate::triangle:
        break;
    }
    return ops.mul(ops.set(slope), ops.max(ops.set(0.0F), ops.sub(one, x)));
  }
};

/// Of a potential to the current of one step: two low-pass filters, one after the other.
struct PotentialResponse {
  float decay = 0;
  float synapse_decay = 0;  ///< 0: none
};

/// What rules ask of a model whose spikes have a surrogate derivative.
struct SurrogateTraits {
  PotentialResponse response;
  bool adapts = false;               ///< errors also travel back in time by other ways than that response
  bool differentiates_reset = true;  ///< errors through the reset are defined by the margins
};

}  // namespace orthospike
