#pragma once

#include <cstdint>

#include "kernels/family.hpp"

namespace orthospike {

/// values ← round(clamp(values, ±scale) / scale · levels) / levels · scale, rounding half to even: the quantised
/// response of Xiao et al., ICLR 2024. Keeps NaN.
struct Quantise {
  float scale;         ///< > 0
  std::size_t levels;  ///< > 0
  View<float> values;

  void check() const { require(scale > 0 && levels > 0, "quantise", "scale or levels are not positive"); }
};

/// Runs `steps` steps of signed spiking neurons, each driven by its current `values`, the same in every step. From
/// u = 0: u ← u + current; where |u| ≥ scale / 2 the neuron emits one spike of the sign of u, and u ← u ∓ scale.
/// values ← (positive - negative spikes) / steps · scale, NaN where u ends as NaN; spikes ← spikes of both signs.
/// Potentials are floats, added in order on every back end, so that spikes agree.
struct SpikeSigned {
  float scale;        ///< > 0
  std::size_t steps;  ///< > 0
  View<float> values;
  View<std::uint32_t> spikes;  ///< [values]

  void check() const {
    require(scale > 0 && steps > 0, "spike_signed", "scale or steps are not positive");
    require(values.size() == spikes.size(), "spike_signed", "values and spikes differ in number");
  }
  bool empty() const { return values.empty(); }
};

/// Activity settles under lateral inhibition L by signed spikes of `height`: z ≈ (I + L)^-1 x. From z = 0 with
/// potentials v = x, in each sweep each neuron in order fires k = round(v_i / (height (1 + L_ii))) spikes (half to even), negative
/// ones too: z_i ← z_i + k height, v ← v - k height (I + L) e_i. A row is done after a sweep without spikes, with
/// |v_i| ≤ height (1 + L_ii) / 2, or after `sweeps`. With L symmetric and positive semidefinite spikes never raise
/// zᵀ(I + L)z / 2 - xᵀz. A NaN in a row makes all of it NaN. Potentials are floats, changed in order with one fused
/// multiply-add a spike on every back end, so that spikes agree.
struct SettleBySpikes {
  float height;  ///< > 0
  std::size_t sweeps;
  ConstMatrix inhibition;  ///< L [n × n]
  Matrix potential;        ///< [rows × n]: x, then v
  Matrix activity;         ///< [rows × n] ← z

  void check() const {
    require(height > 0, "settle_by_spikes", "height is not positive");
    require(inhibition.rows == inhibition.cols && potential.cols == inhibition.cols &&
                same_shape(potential, activity),
            "settle_by_spikes", "potentials and activity do not fit the inhibition");
  }
  bool empty() const { return potential.empty(); }
};

struct LateralCircuits : Family<Quantise, SpikeSigned, SettleBySpikes> {
  using Family::Family;
};

}  // namespace orthospike
