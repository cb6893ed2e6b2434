#pragma once

#include <cstdint>

#include "kernels/backend.hpp"
#include "sim/registry.hpp"

namespace orthospike {

struct LateralSettings {
  float scale = 20;        ///< largest response, s
  std::size_t steps = 40;  ///< lateral steps T_l in one sample

  void describe(SettingsVisitor& visit);
};

/// How subspace neurons answer the currents h x that their lateral weights carry to them. Each answers for
/// itself, so that the responses of old rows do not depend on new ones. Responses y act back on the
/// presynaptic side as x - hᵀ y (Xiao et al., ICLR 2024).
///
///   linear     y = h x
///   quantised  y = round(clamp(h x, ±s) / s · T_l) / T_l · s: what T_l steps can express, as a formula
///   spiking    the neurons themselves: the presynaptic trace is a constant current for T_l steps
///
/// Only linear responses may act on gradients instead of traces: a gradient of weights is far below one
/// quantum s / T_l, its response is 0, and nothing is projected out.
class LateralNeurons {
 public:
  virtual ~LateralNeurons() = default;

  /// Whether `respond` leaves the currents as they are.
  virtual bool linear() const = 0;
  /// responses ← responses to the currents that `responses` holds, in place; x hᵀ [N × rank].
  virtual void respond(Matrix responses) = 0;
};

class LinearNeurons final : public LateralNeurons {
 public:
  LinearNeurons() = default;
  explicit LinearNeurons(Backend& /*backend*/) {}

  bool linear() const override { return true; }
  void respond(Matrix /*responses*/) override {}
};

/// The response of the spiking population as a formula.
class QuantisedNeurons final : public LateralNeurons {
 public:
  using Settings = LateralSettings;

  QuantisedNeurons(Backend& backend, const LateralSettings& settings)
      : backend_(backend), settings_(settings) {}

  bool linear() const override { return false; }
  void respond(Matrix responses) override;

 private:
  Backend& backend_;
  LateralSettings settings_;
};

/// A population that integrates its currents z = h x for T_l steps and emits signed spikes.
///
/// In every step u ← u + z; a spike takes s off the potential (a soft reset) and carries s / T_l. Neurons fire
/// at half a spike, |u| ≥ s/2, which is a reset threshold s with an initial potential of half a unit, alike
/// for both signs: after t steps the spikes are t·z / s rounded to the nearest integer, and after T_l steps
/// their sum is the formula of QuantisedNeurons. One spike a step is both enough for |z| ≤ s and the formula's
/// clamp: beyond s a neuron bursts in every step and stays at ±s. The feedback -hᵀ of single spikes,
/// summed over the steps, is the product of -hᵀ and the summed spikes, for it is linear; one product gives it.
///
/// It differs from the formula by one quantum s / T_l
/// - at ties, z = (k + 1/2) s / T_l: it rounds away from zero, the formula to even k;
/// - within T_l · 2⁻²² of a quantum next to ties, where the T_l float sums of u or the formula round across.
class SpikingNeurons final : public LateralNeurons {
 public:
  using Settings = LateralSettings;

  SpikingNeurons(Backend& backend, const LateralSettings& settings);

  bool linear() const override { return false; }
  void respond(Matrix responses) override;

  /// Spikes of both signs that all calls of `respond` took together.
  std::uint64_t spikes() const;

 private:
  Backend& backend_;
  LateralSettings settings_;
  Array<std::uint32_t> counts_;  ///< of the last call, one a neuron
  Array<std::uint64_t> total_;
};

/// Lateral neurons by their config name.
using LateralNeuronKinds = Registry<LateralNeurons, Backend&>;
LateralNeuronKinds& lateral_neurons();

}  // namespace orthospike
