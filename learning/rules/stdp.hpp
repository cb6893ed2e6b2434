#pragma once

#include <vector>

#include "learning/rules/rule.hpp"

namespace orthospike {

/// Spike-timing-dependent plasticity of hidden projections, of pairs or of triplets with all-to-all
/// interactions (Pfister & Gerstner, 2006), over all steps of a sample, mean over the batch:
///   ΔW = Σ_t s_post (A₊ + A3₊ o2) r1ᵀ - o1 (s_pre (A₋ + A3₋ r2))ᵀ
/// with traces that decay by exp(-dt/tau) a step: r1 (tau_plus) and r2 (tau_x) of presynaptic spikes, o1
/// (tau_minus) and o2 (tau_y) of postsynaptic ones. A spike acts in the step in which it arrives, through a
/// recurrent projection one step late. Of simultaneous spikes the presynaptic one comes first: r1 includes
/// those of the step, the other traces do not. So a pair at lag d = t_post - t_pre ≥ 0 adds A₊ exp(-d·dt/
/// tau_plus), and one at d < 0 takes A₋ exp(d·dt/tau_minus).
///
/// Both terms are factor times presynaptic trace, 2·steps·batch rows: the negative of ΔW, since optimisers
/// descend. The static input x is presynaptic activity x in every step, so that its trace is a multiple of x
/// and steps add up to B rows, and, of triplets, B more with the trace x², its spikes' part with themselves.
/// Subspaces learn from the presynaptic spikes, which carry the currents.
///
/// The read-out learns by the delta rule from its own error. Nothing but the learning rate and the balance of
/// the amplitudes bounds hidden weights: there is neither competition nor homeostasis.
class Stdp : public Rule {
 public:
  enum class Pairing { pair, triplet };

  /// Default time constants are those of hippocampal pairings in Pfister & Gerstner (2006) on a clock 20 times as
  /// fast, as the published networks have it; their amplitudes are for fewer spikes.
  struct Settings {
    Pairing pairing = Pairing::pair;
    float tau_plus = 0.84F, tau_minus = 1.685F;  ///< ms, of the traces of a pair
    float a_plus = 0.001F, a_minus = 0.001F;     ///< change of a pair
    float tau_x = 47.3F, tau_y = 2.0F;         ///< ms, of the slow pre- and postsynaptic traces of a triplet
    float a3_plus = 0.0001F, a3_minus = 0.0F;  ///< change of a triplet

    void describe(SettingsVisitor& visit);
    Traits traits() const { return {.reads_feedback = false}; }
  };

  /// Throws ConfigError for neurons whose outputs are weighted averages (lif_dsr).
  Stdp(const Network& network, const RuleContext& context, const Settings& settings);
  /// As registered: no error crosses a population.
  Stdp(const Network& network, ErrorFeedback& /*feedback*/, const RuleContext& context,
       const Settings& settings)
      : Stdp(network, context, settings) {}

  std::size_t max_rows() const override { return 2 * steps_ * max_batch_; }
  void backward(const ClockEngine& engine, ConstMatrix readout_error, View<const Target> targets) override;
  WeightGradient weight_gradient(std::size_t projection) const override { return gradients_[projection]; }

 protected:
  /// What multiplies the changes of a population's weights in each step, [steps·batch × neurons or × 1];
  /// empty for 1.
  virtual ConstMatrix modulation(std::size_t /*population*/) const { return {}; }

  const Network& network_;
  std::size_t steps_;
  std::size_t max_batch_;
  float dt_;

 private:
  struct PopulationRows {
    Array<float> spikes;  ///< [a batch of zeros, then steps·batch, × neurons]
    Array<float> post;    ///< [2·steps·batch × neurons] factors of potentiation, then of depression
  };

  float decay(float tau) const;
  /// Low-pass of spikes [steps·batch × neurons], each step's own included.
  void trace(float decay, ConstMatrix spikes, Matrix result);
  /// The same without each step's own.
  void earlier_trace(float tau, ConstMatrix spikes, Matrix result);
  /// result ← spikes · (a + a3 · their trace before)
  void weigh(float a, float a3, float tau, ConstMatrix spikes, Matrix result);
  void fill_post(const ClockEngine& engine, std::size_t population);
  WeightGradient between_spikes(const ClockEngine& engine, std::size_t projection);
  WeightGradient from_input(const ClockEngine& engine, std::size_t projection);
  WeightGradient to_readout(const ClockEngine& engine, std::size_t projection, ConstMatrix readout_error);

  Settings settings_;
  std::vector<PopulationRows> rows_;  ///< one a population
  std::vector<Array<float>> traces_;  ///< [2·steps·batch × sources] of spikes, [2·batch × sources] of input
  std::vector<Array<float>> summed_;  ///< [2·batch × targets] factors of the static input
  Array<float> room_;                 ///< [batch × widest population]
  std::vector<WeightGradient> gradients_;
};

}  // namespace orthospike
