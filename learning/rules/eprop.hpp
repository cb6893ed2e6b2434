#pragma once

#include "learning/rules/spike_gradient.hpp"

namespace orthospike {

/// e-prop (Bellec et al., 2020) for LIF and adaptive LIF populations, recurrent or not: ΔW_ji ∝ Σ_t L_j[t]
/// ē_ji[t], with ē the eligibility trace e_ji[t] = ψ_j (ε_i - β ε^a_ji) low-pass filtered as the read-out is,
/// ε_i = decay · ε_i + z_i, and ε^a_ji[t + 1] = ψ_j ε_i + (ρ - ψ_j β) ε^a_ji[t].
///
/// The sum is computed in another order, which gives the same numbers from vectors instead of matrices: the
/// read-out's filter is applied backwards in time to the learning signal, F_j[t] = L_j[t] + leak · F_j[t + 1],
/// and the adaptation's to the postsynaptic factor, δ_j = ψ_j (F_j + g_j'), g_j = ρ g_j' - β δ_j (' one step
/// later). Then ΔW_ji ∝ Σ_t δ_j[t] ε_i[t]: factor times presynaptic trace, so that projecting ε projects each
/// row of the eligibility matrix.
/// Without adaptation and without a leak of the read-out nothing is filtered backwards: ΔW_ji ∝ Σ_t ψ_j[t] L_j[t]
/// ε_i[t] needs nothing of later steps, and weights may change after every step.
/// Learning signals are symmetric with the feedback `backprop`, random with `direct_feedback_alignment`, adaptive
/// with `adaptive_broadcast`.
class Eprop final : public SpikeGradient {
 public:
  using Settings = SurrogateSettings;

  Eprop(const Network& network, ErrorFeedback& feedback, const RuleContext& context, const Settings& settings)
      : SpikeGradient(network, feedback, context, settings,
                      {.name = "eprop",
                       .through_time = false,
                       .within_step = false,
                       .step_losses = true,
                       .trace = Trace::filtered_spikes,
                       .input_trace = Trace::filtered_spikes,
                       .readout_trace = Trace::spikes}) {}
};

}  // namespace orthospike
