#pragma once

#include "learning/rules/spike_gradient.hpp"

namespace orthospike {

/// Online training through time (Xiao et al., NeurIPS 2022): every step has its own loss, errors travel back
/// within the step alone, and the past is in the presynaptic trace a[t] = decay · a[t - 1] + s[t]:
/// Σ_t δ[t] a[t]ᵀ. Nothing of later steps is needed, so weights may change after every step. The static input
/// is its own trace, as published; spikes to a read-out that leaks decay as it does.
class Ottt final : public SpikeGradient {
 public:
  using Settings = SurrogateSettings;

  Ottt(const Network& network, ErrorFeedback& feedback, const RuleContext& context, const Settings& settings)
      : SpikeGradient(network, feedback, context, settings,
                      {.name = "ottt",
                       .through_time = false,
                       .within_step = true,
                       .step_losses = true,
                       .trace = Trace::filtered_spikes,
                       .input_trace = Trace::spikes,
                       .readout_trace = Trace::filtered_spikes}) {}
};

}  // namespace orthospike
