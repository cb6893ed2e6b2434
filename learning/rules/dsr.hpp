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
/// Where currents are normalised, what the gradient by them is before the neurons is that by the normalised ones. In the
/// training of the normalisation the one by the currents differs from step to step, so that incoming weights take the
/// spikes of all steps; and g of the population below is the feedback of T · avg of it. Errors by currents that are carried
/// on to another population are added to its own.
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
  PopulationGradient population_gradient(std::size_t population) const override {
    const PopulationErrors& errors = errors_[population];
    return {.threshold = errors.threshold.view(), .gain = errors.gain.view(), .offset = errors.offset.view()};
  }

 private:
  struct PopulationErrors {
    Array<float> error;  ///< [batch × neurons] by the outputs, then by the currents
    bool differs =
        false;  ///< whether gradients by the currents differ from step to step; else they are error / T
    Array<float> each_step;     ///< [T·batch × neurons] they themselves, where they do
    Array<float> sum;           ///< [batch × neurons] over the steps
    Array<float> threshold;     ///< [1] gradient
    Array<float> gain, offset;  ///< [channels] gradients
  };
  /// From the errors by a population's outputs those by its currents.
  void through_neurons(const ClockEngine& engine, std::size_t population, ConstMatrix readout_error);
  /// From those by normalised currents, in place.
  void through_normalisation(const ClockEngine& engine, std::size_t population, Matrix error);
  /// Adds errors by the currents of those populations that carry its own on.
  void add_carried(const ClockEngine& engine, std::size_t population, Matrix error);
  Matrix each_step(const ClockEngine& engine, std::size_t population);
  Matrix sum_of_steps(const ClockEngine& engine, std::size_t population);
  /// What the gradient is made of where the errors of its target differ from step to step.
  WeightGradient gradient_of_steps(const ClockEngine& engine, std::size_t projection);
  bool leads_to_readout(std::size_t projection) const;
  /// [batch × targets] by the currents of a projection's target.
  ConstMatrix error_of_target(std::size_t projection, ConstMatrix readout_error) const;

  const Network& network_;
  ErrorFeedback& feedback_;
  std::size_t max_batch_;
  std::vector<PopulationErrors> errors_;
  Array<float> further_;                   ///< those that a population's second projection brings back
  std::vector<WeightGradient> gradients_;  ///< one a projection
};

}  // namespace orthospike
