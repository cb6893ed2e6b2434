#pragma once

#include "kernels/neurons/ops.hpp"

namespace orthospike {

/// LIF neuron in the form of DSR (method: Meng et al., CVPR 2022):
/// u ← decay·u + (1 - decay)·I[t]; a spike of height threshold / dt when u ≥ firing_fraction·threshold, and
/// then u ← u - threshold. The state u is 0 before the first step.
struct LifDsr {
  float decay = 0;            ///< exp(-dt/tau), dimensionless
  float dt = 0;               ///< step, in the unit of tau
  float tau = 0;              ///< membrane time constant
  float firing_fraction = 0;  ///< part of the threshold at which the neuron fires (alpha)
  float threshold = 0;        ///< trained

  static constexpr const char* state[] = {"potential"};

  /// trained: [1] threshold
  ORTHOSPIKE_STEP void load(const float* trained) { threshold = *trained; }

  template <class Ops, class V>
  ORTHOSPIKE_STEP auto step(const Ops& ops, V current, V& margin, V& potential) const {
    potential = ops.fma(ops.set(decay), potential, ops.mul(ops.set(1.0F - decay), current));
    const V level = ops.set(firing_fraction * threshold);
    margin = ops.sub(potential, level);
    const auto fires = ops.ge(potential, level);
    potential = ops.sub(potential, ops.where(fires, ops.set(threshold)));
    return fires;
  }
  template <class V>
  ORTHOSPIKE_STEP V height() const {
    return static_cast<V>(threshold) / static_cast<V>(dt);
  }

  /// Averages have weights exp(-(T-i)·dt/tau), i = 1…T.
  ORTHOSPIKE_STEP float averaging_decay() const { return decay; }

  /// The average output is about clamp(average current / tau, 0, threshold / dt), whose derivative by the current is
  /// 1 / tau between these bounds, times scale · error.
  template <class Ops, class V>
  ORTHOSPIKE_STEP V by_average_current(const Ops& ops, float scale, V average_current, V error) const {
    const auto passes =
        ops.both(ops.gt(average_current, ops.set(0.0F)), ops.gt(ops.set(saturation()), average_current));
    return ops.where(passes, ops.mul(ops.set(scale / tau), error));
  }
  /// And dt times that by the threshold: 1 above the upper bound, else 0; times error.
  template <class Ops, class V>
  ORTHOSPIKE_STEP V by_trained(const Ops& ops, V average_current, V error) const {
    return ops.where(ops.gt(average_current, ops.set(saturation())), error);
  }
  float trained_scale() const { return dt; }

 private:
  ORTHOSPIKE_STEP float saturation() const { return threshold * tau / dt; }
};

}  // namespace orthospike
