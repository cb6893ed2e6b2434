#pragma once

#include "learning/protections/leaky.hpp"

namespace orthospike {

/// The operator of Leaky, (I + L)^-1 with L = C / lambda, as a circuit: lateral inhibitory weights L between
/// the presynaptic neurons of a projection learn the correlations of their activity, and traces x settle
/// under those of finished tasks, dz/dt = x - z - L z.
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
class LeakyCircuit final : public Protection {
 public:
  LeakyCircuit(const Network& network, const LeakySettings& settings);

  void begin_task(std::size_t task) override;
  PresynapticOperator* presynaptic_operator(std::size_t projection) override;
  void observe(std::size_t projection, const Presynaptic& activity, ConstMatrix /*post*/) override;
  void end_task() override;
  double effective_rank(std::size_t projection) const override { return parts_[projection]->effective_rank; }
  std::size_t memory(std::size_t projection) const override {
    return parts_[projection]->old_weights.size() * sizeof(float);
  }
  /// Steps in which traces of a projection settle through linear lateral neurons.
  std::size_t steps(std::size_t projection) const { return parts_[projection]->steps; }

 private:
  struct Part final : PresynapticOperator, LinearOperator {
    Part(Backend& backend, const LeakySettings& settings, const Projection& projection);

    ConstMatrix apply_to_traces(const Presynaptic& traces) override;
    LinearOperator* linear() override { return settings.is_spiking() ? nullptr : this; }
    void apply_to_gradient(Matrix gradient) override;
    /// Where activity with input x settles; neurons are its columns, [N × n], or its rows, [n × targets].
    Matrix settle(ConstMatrix x, bool neurons_are_rows);
    Matrix settle_by_spikes(ConstMatrix x);

    Backend& backend;
    const LeakySettings& settings;
    std::string projection;
    std::size_t n;
    Array<float> old_weights;  ///< [n × n] of finished tasks
    Array<float> new_weights;  ///< [n × n] of this task
    std::size_t batches = 0;   ///< of this task so far
    double bound = 1;          ///< κ
    std::size_t steps = 1;
    double effective_rank = 0;
    Array<float> activity, drive, change;  ///< z, x - z - L z and d, as large as needed
  };

  Backend& backend_;
  LeakySettings settings_;
  std::vector<std::unique_ptr<Part>> parts_;  ///< one a projection
};

}  // namespace orthospike
