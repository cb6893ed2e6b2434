#pragma once

#include "learning/protections/protection.hpp"

namespace orthospike {

/// Of lateral neurons that inhibit each other.
struct CircuitSettings {
  enum class Neurons { linear, spiking };

  float learning_rate = 0.0F;
  Neurons neurons = Neurons::linear;
  float tolerance = 0.01F;
  float spike_height = 0.02F;
  std::size_t sweeps = 10;

  /// Keys of the section.
  void describe(SettingsVisitor& visit, const std::string& section);
  bool is_spiking() const { return neurons == Neurons::spiking; }
};

/// (I + L)^-1 with L = C / lambda on rows of n numbers, as a circuit: lateral inhibitory weights L between n neurons
/// learn the correlations of their activity, and rows x settle under those of finished tasks, dz/dt = x - z - L z.
///
/// Learning, in each batch x [N × n], is local: L_new ← L_new + η (xᵀ x / (lambda N) - L_new) with η the larger
/// of the learning rate and 1 / (batches of the task so far), so that with rate 0 L_new is the mean over the
/// task. At its end a homeostatic factor brings the mean of L_new's diagonal to 1 / lambda, and L ← L + L_new.
///
/// Settling. The eigenvalues of I + L lie between 1 and κ, which may be n · tasks / lambda: an Euler step must
/// be shorter than 2/κ, and the slowest direction then takes κ/2 · ln(1/ε) steps. Neurons with inertia need
/// about the root of that: in step k, d ← b_k d + a_k (x - z - L z), z ← z + d, with the a_k and b_k of the
/// Chebyshev iteration on [1, κ] (Golub & Varga, 1961). From z = 0 the error along each eigenvector is
/// at most 2 ((√κ - 1) / (√κ + 1))^k of what it settles to, so that strongly inhibited directions are as right,
/// relative to the little that is left of them, as others. The steps are those that make this bound the
/// tolerance, √κ/2 · ln(2/tolerance): for 0.01 and κ = 10⁴, 265.
///
/// Spiking lateral neurons transmit signed spikes of a height instead of z (SettleBySpikes of kernels/lateral.hpp; a
/// network of predictive spikes as in Boerlin, Machens & Denève, 2013): a neuron fires when its potential
/// x - z - L z passes half of what one spike takes off it. When all are silent, potentials v are what is
/// left: the error of z is (I + L)^-1 v, 1 / κ of v along the most inhibited direction. Not linear: spikes
/// cannot carry gradients, only traces.
///
/// Where rows are errors, C is the mean over tasks instead of the sum, and the height of a spike is in units of the root
/// mean square of a neuron's errors in the last task: only their direction is known before.
class InhibitoryCircuit final : public PresynapticOperator, public LinearOperator {
 public:
  enum class Rows { activity, errors };

  /// projection: who it says has rows that are not finite. The settings outlive it.
  InhibitoryCircuit(Backend& backend, const CircuitSettings& settings, double lambda, std::string projection,
                    std::size_t neurons, Communicator& ranks, Rows rows = Rows::activity);

  void begin_task() { batches_ = 0; }
  /// rows [N × n] of this rank
  void learn(const Presynaptic& rows);
  /// From now on rows settle under what was learned, too.
  void end_task();
  void state(Archive& archive);

  ConstMatrix apply_to_traces(const Presynaptic& traces) override;
  LinearOperator* linear() override { return settings_.is_spiking() ? nullptr : this; }
  void apply_to_gradient(Matrix gradient) override;

  /// 0 before there is anything to inhibit.
  double effective_rank() const { return effective_rank_; }
  std::size_t memory() const { return old_weights_.size() * sizeof(float); }
  /// In which rows settle through linear neurons.
  std::size_t steps() const { return steps_; }

 private:
  /// Where activity with input x settles; neurons are its columns, [N × n], or its rows, [n × targets].
  Matrix settle(ConstMatrix x, bool neurons_are_rows);
  Matrix settle_by_spikes(ConstMatrix x);

  Backend& backend_;
  const CircuitSettings& settings_;
  double lambda_;
  std::string projection_;
  std::size_t n_;
  Communicator& ranks_;
  Rows rows_;
  Array<float> old_weights_;  ///< [n × n] of finished tasks
  Array<float> new_weights_;  ///< [n × n] of this task, by what this rank has seen of it
  std::size_t batches_ = 0;   ///< of this task so far
  std::size_t tasks_ = 0;     ///< finished ones that had something to learn
  double bound_ = 1;          ///< κ
  float height_;              ///< of a spike
  std::size_t steps_ = 1;
  double effective_rank_ = 0;
  Array<float> activity_, drive_, change_;  ///< z, x - z - L z and d, as large as needed
};

}  // namespace orthospike
