#pragma once

#include "learning/rules/spike_gradient.hpp"

namespace orthospike {

/// Deep continuous local learning (DECOLLE; Kaiser, Mostafa & Neftci, 2020). Each spiking population has a
/// read-out of its own through fixed random weights G [neurons × classes], uniform within ±1/√neurons, and a
/// loss of its own: the cross-entropy of Gᵀ s[t], mean over the steps. The error comes back through G, times
/// the surrogate derivative at that step (and through adaptation, as in eprop), times the
/// presynaptic trace, filtered by the neuron's synapse and membrane. No error crosses a population, and none
/// comes from the network's read-out, which learns from its own, times spikes filtered as it leaks. Without
/// adaptation weights may change after every step, as published.
class Decolle final : public SpikeGradient {
 public:
  struct Settings : SurrogateSettings {
    Traits traits() const { return {.reads_feedback = false}; }
  };

  Decolle(const Network& network, ErrorFeedback& feedback, const RuleContext& context,
          const Settings& settings);

 private:
  ConstMatrix error_by_spike(const ClockEngine& engine, std::size_t source, ConstMatrix readout_error,
                             View<const Target> targets, View<float> room) override;

  const Network& network_;
  std::size_t classes_ = 0;
  std::vector<Array<float>> weights_;  ///< G, one a population, empty for those that do not spike
  Array<float> logits_;                ///< [steps·batch × classes]
  Array<float> logit_errors_;          ///< [steps·batch × classes]
  Array<double> loss_;                 ///< [1], summed over populations; nobody reads it
  Array<std::uint32_t> correct_;       ///< [1], nobody reads it
};

}  // namespace orthospike
