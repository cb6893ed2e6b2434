#pragma once

#include "learning/rules/stdp.hpp"

namespace orthospike {

/// Modulated plasticity (Izhikevich, 2007): eligibilities E ← d·E + ΔW[t] collect what Stdp would change in
/// each step, d = exp(-dt/eligibility_tau), and at the end of the sample the weights change by R·E. R is
///   reward  of the sample: 1 where the read-out was right, else -1, less the mean of the batch;
///   error   of the neuron: the negative error by its output, times the batch, as the error feedback brings
///           it, without derivatives of spikes on the way.
/// The sum is computed in another order: R·d^(T-1-t) multiplies the postsynaptic factors of step t. The
/// read-out learns by the delta rule.
class Rstdp final : public Stdp {
 public:
  /// What multiplies eligibilities: a reward of the sample, or an error of the neuron.
  enum class Modulation { reward, error };

  struct Settings : Stdp::Settings {
    Modulation modulation = Modulation::reward;
    float eligibility_tau = 50.0F;  ///< ms

    void describe(SettingsVisitor& visit);
    Traits traits() const { return {.reads_feedback = modulation == Modulation::error}; }
  };

  Rstdp(const Network& network, ErrorFeedback& feedback, const RuleContext& context,
        const Settings& settings);

  void backward(const ClockEngine& engine, ConstMatrix readout_error, View<const Target> targets) override;
  void backward_of_none() override;

 private:
  ConstMatrix modulation(std::size_t population) const override;
  void reward(const ClockEngine& engine, View<const Target> targets);
  void propagate_errors(const ClockEngine& engine, ConstMatrix readout_error);
  /// factors[t] ← scale · d^(T-1-t) · values
  void spread(float scale, View<const float> values, View<float> factors);

  ErrorFeedback& feedback_;
  Communicator& ranks_;
  Modulation modulation_;
  float eligibility_tau_;
  std::size_t batch_ = 0;
  Array<float> ones_;                  ///< [batch]
  Array<float> right_;                 ///< [batch]
  Array<float> mean_;                  ///< [1]
  Array<float> rewards_;               ///< [batch]
  std::vector<Array<float>> errors_;   ///< [batch × neurons], one a population
  Array<float> further_;               ///< those that a population's second projection brings back
  std::vector<Array<float>> factors_;  ///< [steps·batch × neurons], one a population; of rewards one, × 1
};

}  // namespace orthospike
