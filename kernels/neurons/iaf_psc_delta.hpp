#pragma once

#include "kernels/neurons/ops.hpp"

namespace orthospike {

/// Leaky integrate-and-fire neuron whose potential jumps by what arrives, integrated exactly (Rotter & Diesmann, 1999), as
/// iaf_psc_delta of NEST. Potentials are counted from rest. In each step, where it is not refractory,
///   v ← decay · v + (I[t] + drive)
/// and else v stays, what arrives is lost, and one step less is left; where then v ≥ threshold it spikes, v ← reset, and
/// it is refractory for so many steps.
struct IafPscDelta {
  float decay = 0;  ///< exp(-dt / tau_m)
  float drive = 0;  ///< what a constant current adds in a step: (1 - decay) · tau_m / C_m · I_e
  float threshold = 0;
  float reset = 0;
  float refractory_steps = 0;

  static constexpr const char* state[] = {"potential", "refractory"};

  template <class Ops, class V>
  ORTHOSPIKE_STEP auto step(const Ops& ops, V current, V& margin, V& potential, V& refractory) const {
    const auto waits = ops.gt(refractory, ops.set(0.0F));
    const V integrated = ops.fma(ops.set(decay), potential, ops.add(current, ops.set(drive)));
    potential = ops.select(waits, potential, integrated);
    refractory = ops.where(waits, ops.sub(refractory, ops.set(1.0F)));
    margin = ops.sub(potential, ops.set(threshold));
    const auto fires = ops.ge(margin, ops.set(0.0F));
    potential = ops.select(fires, ops.set(reset), potential);
    refractory = ops.select(fires, ops.set(refractory_steps), refractory);
    return fires;
  }
  template <class V>
  ORTHOSPIKE_STEP V height() const {
    return V(1);
  }
};

}  // namespace orthospike
