#pragma once

#include <vector>

#include "learning/rules/rule.hpp"

namespace orthospike {

struct SurrogateSettings {
  Surrogate surrogate = Surrogate::sigmoid;
  float slope = 4.0F;

  void describe(SettingsVisitor& visit);
};

/// What the rules with surrogate derivatives share. Per projection, gradients are Σ_t δ[t] x[t]ᵀ, δ the error
/// by a target's current and x a trace of the source's spikes; the rules differ in what travels back in time
/// with δ and what is carried forward in x.
///
/// Populations are visited from the read-out down: their errors by spikes come from the error feedback, those
/// by currents from NeuronModel::backward. Through time those by spikes have another part, from the currents
/// that spikes bring their own population one step later: W_rec δ[t + 1], W_rec as the error feedback has it; a
/// direct one has no such part. The static input is the same in all steps, so that the gradient of its
/// projection needs B rows: (Σ_t c_t δ[t]) xᵀ, c_t the response of the trace to a constant.
///
/// Where a trace is low-pass filtered spikes, Σ_t δ[t] x[t]ᵀ is also Σ_t δ'[t] s[t]ᵀ with the filter applied to δ
/// backwards in time. That form, whose presynaptic rows are events, is taken unless context.past_in_traces, or where
/// a sample takes several runs.
/// Subspaces learn from the spikes of every step, whose span is that of the traces.
class SpikeGradient : public Rule {
 public:
  Recording recording() const override { return {.margins = true, .step_logits = form_.step_losses}; }
  bool has_step_losses() const override { return form_.step_losses; }
  bool is_online() const override;
  std::size_t most_steps(std::size_t steps) const override;
  std::size_t max_rows() const override { return most_steps(context_.clock.steps) * context_.max_batch; }

  void backward(const ClockEngine& engine, ConstMatrix readout_error, View<const Target> targets) override;
  WeightGradient weight_gradient(std::size_t projection) const override { return gradients_[projection]; }
  PopulationGradient population_gradient(std::size_t population) const override {
    return {.threshold = {},
            .gain = errors_[population].gain.view(),
            .offset = errors_[population].offset.view()};
  }

 protected:
  enum class Trace {
    spikes,           ///< the spikes themselves
    filtered_spikes,  ///< low-pass as the target's potential
    leaky_spikes,     ///< low-pass as the read-out leaks
  };
  struct Form {
    const char* name;   ///< of the rule
    bool through_time;  ///< errors travel back in time
    bool within_step;   ///< nor do they through adaptation
    bool step_losses;   ///< see Rule
    Trace trace;        ///< of spikes between populations
    Trace input_trace;  ///< of the static input
    /// Of spikes to the read-out, low-pass as it leaks or else, where filtered, as their own potential. Errors
    /// travel back through the leak where they are the spikes themselves.
    Trace readout_trace;
    bool detached_reset = true;  ///< no error through the spike that resets
    bool is_local = false;       ///< errors of a population are its own
  };

  /// Errors by the spikes of a population, [batch or steps·batch × neurons], in `room`: what the error feedback brings
  /// back from those by the currents of its targets.
  virtual ConstMatrix error_by_spike(const ClockEngine& engine, std::size_t population,
                                     ConstMatrix readout_error, View<const Target> targets, View<float> room);

  /// Throws ConfigError for neurons without surrogate derivatives, and for networks that the rule cannot train.
  SpikeGradient(const Network& network, ErrorFeedback& feedback, const RuleContext& context,
                const SurrogateSettings& settings, Form form);

 private:
  struct PopulationErrors {
    Array<float> by_spike;    ///< [steps·batch × neurons]
    Array<float> by_current;  ///< [steps·batch × neurons]
    /// Of a population with a recurrent projection, through time, each [batch × neurons]: what one step hands
    /// to the one before.
    std::vector<Array<float>> later;  ///< by each field of the neurons' state
    Array<float> recurrent;
    Array<float> gain, offset;  ///< [channels] gradients
  };
  struct ProjectionRows {
    Array<float> spikes;        ///< [steps·batch × source neurons] 0 or 1
    Array<float> traces;        ///< [batch before the first step, then steps·batch, × source neurons]
    Array<float> last;          ///< [batch × source neurons] trace after the last step
    Array<float> last_synapse;  ///< [batch × source neurons] its synaptic part
    Array<float> post;          ///< [steps·batch × targets] errors filtered back in time
    Array<float> summed_post;   ///< [batch × targets], from a static source
  };

  /// [batch or steps·batch × neurons], once they are complete.
  ConstMatrix error_by_current(const ClockEngine& engine, std::size_t population,
                               ConstMatrix readout_error) const;
  /// Errors by a population's currents from those by its spikes, [batch or steps·batch × neurons].
  void through_neurons(const ClockEngine& engine, std::size_t population, ConstMatrix by_spike);
  /// From those by normalised currents those by the currents, in place.
  void through_normalisation(const ClockEngine& engine, std::size_t population, Matrix by_current);
  /// Error by the read-out's current of each step, [batch or steps·batch × classes].
  ConstMatrix readout_current_error(const ClockEngine& engine, ConstMatrix readout_error);
  /// error: of the projection's targets, [steps·batch × targets].
  WeightGradient from_static(const ClockEngine& engine, std::size_t projection, ConstMatrix error);
  /// error: the same, or [batch × targets] where it is that of all steps.
  WeightGradient from_spikes(const ClockEngine& engine, std::size_t projection, ConstMatrix error);
  /// Traces as potentials respond; of a recurrent projection one step late.
  ConstMatrix filtered_spikes(const ClockEngine& engine, std::size_t projection,
                              const PotentialResponse& response);
  /// Errors [steps·batch × targets], filtered back in time as potentials respond forward.
  ConstMatrix filtered_back(const ClockEngine& engine, std::size_t projection,
                            const PotentialResponse& response, ConstMatrix error);
  /// Of a spiking population.
  SurrogateTraits neurons(std::size_t population) const;
  bool past_in_traces() const {
    return context_.past_in_traces || most_steps(context_.clock.steps) < context_.clock.steps;
  }

  const Network& network_;
  ErrorFeedback& feedback_;
  RuleContext context_;
  SurrogateSettings settings_;
  Form form_;
  float readout_leak_ = 0;
  std::vector<PopulationErrors> errors_;
  std::vector<ProjectionRows> rows_;
  Array<float> further_;         ///< errors that a population's second projection brings back
  Array<float> readout_errors_;  ///< [steps·batch × classes]
  std::vector<WeightGradient> gradients_;
};

}  // namespace orthospike
