#pragma once

#include "kernels/neurons/surrogate.hpp"

namespace orthospike {

/// Leaky integrate-and-fire neuron with a current-based synapse and an adaptive threshold. In each step
///   c ← synapse_decay · c + I[t];   v ← decay · v + c;   margin = v - threshold - adaptation · a;
/// it spikes (height 1) where margin ≥ 0, and then v ← v - threshold, or v ← 0 with a hard reset; after that
///   a ← adaptation_decay · a + spike.
/// decay 1 is the integrate-and-fire neuron; synapse_decay 0 puts currents on the membrane at once.
struct Lif {
  float decay = 0;
  float threshold = 0;
  float synapse_decay = 0;
  float adaptation = 0;  ///< beta of adaptive LIF neurons (Bellec et al., 2020)
  float adaptation_decay = 0;
  bool hard_reset = false;

  static constexpr const char* state[] = {"synapse", "potential", "adaptation"};

  template <class Ops, class V>
  ORTHOSPIKE_STEP auto step(const Ops& ops, V current, V& margin, V& synapse, V& potential,
                            V& adapted) const {
    synapse = ops.fma(ops.set(synapse_decay), synapse, current);
    potential = ops.fma(ops.set(decay), potential, synapse);
    const V above = ops.sub(potential, ops.set(threshold));
    margin = ops.fnma(ops.set(adaptation), adapted, above);
    const auto fires = ops.ge(margin, ops.set(0.0F));
    potential = ops.select(fires, hard_reset ? ops.set(0.0F) : above, potential);
    adapted = ops.fma(ops.set(adaptation_decay), adapted, ops.where(fires, ops.set(1.0F)));
    return fires;
  }
  template <class V>
  ORTHOSPIKE_STEP V height() const {
    return V(1);
  }

  /// For e = output_error[t], the one by the spikes,
  ///   g_s = e + g_a' - detached? 0 : (hard? v : threshold) · decay g_v';   g_m = ψ(margin) g_s
  ///   g_v = g_m + decay g_v' (hard reset: only where there was no spike);  g_a = adaptation_decay g_a' -
  ///   adaptation g_m;  g_c = g_v + synapse_decay g_c';  current_error[t] = g_c
  /// where ' is one step later; terms of g_v' and g_c' only through_time.
  template <class Ops, class V>
  ORTHOSPIKE_STEP V backward(const Ops& ops, const SurrogateDerivative& derivative, V margin, V error,
                             V& by_synapse, V& by_potential, V& by_adaptation) const {
    const V through_potential = ops.mul(ops.set(derivative.through_time ? decay : 0.0F), by_potential);
    V by_spike = ops.add(error, by_adaptation);
    if (!derivative.detached_reset) {
      const V taken = hard_reset ? ops.add(margin, ops.set(threshold)) : ops.set(threshold);
      by_spike = ops.fnma(taken, through_potential, by_spike);
    }
    const V by_margin = ops.mul(derivative(ops, margin), by_spike);
    by_potential = ops.add(
        by_margin, hard_reset ? ops.select(ops.ge(margin, ops.set(0.0F)), ops.set(0.0F), through_potential)
                              : through_potential);
    by_adaptation = ops.fnma(ops.set(derivative.through_adaptation ? adaptation : 0.0F), by_margin,
                             ops.mul(ops.set(adaptation_decay), by_adaptation));
    by_synapse = ops.fma(ops.set(derivative.through_time ? synapse_decay : 0.0F), by_synapse, by_potential);
    return by_synapse;
  }
  SurrogateTraits surrogate_traits() const {
    return {.response = {.decay = decay, .synapse_decay = synapse_decay},
            .adapts = adaptation != 0.0F,
            // A margin of adaptive neurons does not tell the potential that a hard reset takes.
            .differentiates_reset = !hard_reset || adaptation == 0.0F};
  }
};

}  // namespace orthospike
