#pragma once

#include "learning/rules/spike_gradient.hpp"

namespace orthospike {

/// Back-propagation through time with surrogate derivatives: the gradient of the loss of the mean logits,
/// Σ_t δ[t] s[t]ᵀ, with δ from the last step to the first and s the spikes that arrive; of a recurrent
/// projection those of the step before, whose error then has W_rec δ[t] too.
class Bptt final : public SpikeGradient {
 public:
  struct Settings : SurrogateSettings {
    bool detached_reset = true;

    void describe(SettingsVisitor& visit) {
      SurrogateSettings::describe(visit);
      visit("rule.detached_reset", detached_reset, "Leave the reset out of the derivative.");
    }
  };

  Bptt(const Network& network, ErrorFeedback& feedback, const RuleContext& context, const Settings& settings)
      : SpikeGradient(network, feedback, context, settings,
                      {.name = "bptt",
                       .through_time = true,
                       .within_step = false,
                       .step_losses = false,
                       .trace = Trace::spikes,
                       .input_trace = Trace::spikes,
                       .readout_trace = Trace::spikes,
                       .detached_reset = settings.detached_reset}) {}
};

}  // namespace orthospike
