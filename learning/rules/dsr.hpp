#pragma once

#include <vector>

#include "learning/rules/rule.hpp"

namespace orthospike {

/// Differentiation on spike representation (Meng et al., CVPR 2022; settings of Xiao et al., ICLR 2024).
///
/// With avg the neuron's weighted time average and g = T · avg(∂L/∂out) of a spiking population, the gradient
/// by its current is ∂L/∂I[t] = (1/T) · g/tau where 0 < avg(I) < threshold·tau/dt, the same for all t. So
///   the gradient by its incoming weights is (g/tau, masked) · (mean over t of x[t])ᵀ: B rows instead of T·B;
///   g of the population below is the feedback of (g/tau, masked).
/// The read-out is the weighted average of its current, so its traces are avg(x), and the population below
/// has g = T · Σ_t (w_t/Σw)² · feedback of ∂L/∂logits. The subspace learns from avg(x). Works with
/// neurons whose averages are weighted, lif_dsr, only; throws ConfigError for others, and for recurrent projections.
class Dsr final : public Rule {
 public:
  struct Settings {
    void describe(SettingsVisitor& /*visit*/) {}
    Traits traits() const { return {.readout_may_leak = false}; }
  };

  Dsr(const Network& network, ErrorFeedback& feedback, const RuleContext& context, const Settings& = {});

  std::size_t max_rows() const override { return max_batch_; }
  void backward(const ClockEngine& engine, ConstMatrix readout_error, View<const Target> targets) override;
  WeightGradient weight_gradient(std::size_t projection) const override { return gradients_[projection]; }
  View<const float> threshold_gradient(std::size_t population) const override {
    return threshold_gradients_[population].view();
  }

 private:
  /// From the errors by a population's outputs those by its currents.
  void through_neurons(const ClockEngine& engine, std::size_t population, ConstMatrix readout_error);
  bool leads_to_readout(std::size_t projection) const;
  /// [batch × targets] by the currents of a projection's target.
  ConstMatrix error_of_target(std::size_t projection, ConstMatrix readout_error) const;

  const Network& network_;
  ErrorFeedback& feedback_;
  std::size_t max_batch_;
  std::vector<Array<float>> errors_;  ///< one a population
  Array<float> further_;              ///< those that a population's second projection brings back
  std::vector<Array<float>> threshold_gradients_;  ///< one a population, empty for those that do not spike
  std::vector<WeightGradient> gradients_;          ///< one a projection
};

}  // namespace orthospike
