#pragma once

#include "kernels/cpu/spike_index.hpp"
#include "kernels/host_backend.hpp"

namespace orthospike {

/// The fast host back end: a pool of threads, Highway for SIMD chosen at run time, CBLAS for dense products.
///
/// Work is cut into pieces by shape, never by the number of threads, and no sum crosses pieces in an order
/// that depends on it: results are the same bits with any number of threads. BLAS itself runs serially inside
/// each piece.
class CpuBackend final : public HostBackend {
 public:
  /// threads: at least 1.
  explicit CpuBackend(int threads);

  std::string name() const override { return "cpu"; }
  std::string device() const override;
  int threads() const override { return pool_.most(); }
  std::unique_ptr<SpikeIndex> make_spike_index() override { return std::make_unique<CpuSpikeIndex>(); }

 private:
  void do_fill_uniform(View<float> values, float low, float high, const RandomKey& key) final;
  void do_fill_normal(View<float> values, const RandomKey& key) final;
  void do_multiply(float alpha, ConstMatrix a, Transpose transpose_a, ConstMatrix b, Transpose transpose_b,
                   float beta, ConstMatrix addend, Matrix c) final;
  void do_transpose(ConstMatrix a, Matrix b) final;
  void do_add(float alpha, View<const float> x, float beta, View<float> y) final;
  void do_raise_to(float bound, View<float> values) final;
  void do_sign(float scale, View<const float> x, View<float> y) final;
  void do_modulate(ConstMatrix factor, Matrix x) final;
  void do_encode_images(View<const std::uint8_t> images, View<const std::uint32_t> samples,
                        View<const std::uint32_t> pixel_order, float mean, float deviation,
                        Matrix currents) final;
  void do_deliver(ConstSpikes spikes, ConstMatrix weights, View<const float> height, float dt,
                  Delivery delivery, float crossover, Matrix currents) final;
  void do_correlate(float alpha, ConstSpikes spikes, ConstMatrix b, float beta, Matrix c) final;
  void do_lif_dsr(const LifDsr& neuron, View<const float> threshold, std::size_t steps, ConstMatrix currents,
                  const LifDsrOutputs& outputs) final;
  void do_lif_dsr_backward(const LifDsr& neuron, View<const float> threshold, float scale,
                           ConstMatrix average_current, Matrix gradient,
                           View<float> threshold_gradient) final;
  void do_lif(const Lif& neuron, std::size_t steps, bool from_rest, ConstMatrix currents,
              const LifState& state, const LifOutputs& outputs) final;
  void do_lif_backward(const Lif& neuron, const LifDerivative& derivative, std::size_t steps,
                       ConstMatrix margin, ConstMatrix output_error, const LifState& later,
                       Matrix current_error) final;
  void do_count_spikes(View<const std::uint32_t> counts, View<std::uint64_t> total) final;
  void do_expand_spikes(ConstSpikes spikes, Matrix x) final;
  void do_filter(float decay, std::size_t steps, Matrix x, Matrix last) final;
  void do_filter_back(float decay, std::size_t steps, Matrix x) final;
  void do_sum_steps(float scale, float decay, std::size_t steps, ConstMatrix x, Matrix sum) final;
  void do_cross_entropy(ConstMatrix logits, View<const std::uint8_t> labels,
                        View<const std::uint32_t> samples, float weight, Matrix logit_gradient,
                        View<double> loss, View<std::uint32_t> correct) final;
  void do_mark_correct(ConstMatrix logits, View<const std::uint8_t> labels, View<const std::uint32_t> samples,
                       View<float> right) final;
  void do_remove_subspace(ConstMatrix h, ConstMatrix x, Matrix residual) final;
  void do_quantise(float scale, std::size_t levels, View<float> values) final;
  void do_spike_signed(float scale, std::size_t steps, View<float> values, View<std::uint32_t> spikes) final;
  void do_settle_by_spikes(float height, std::size_t sweeps, ConstMatrix inhibition, Matrix potential,
                           Matrix activity) final;
  void do_hebbian_step(const HebbianStep& step, ConstMatrix correlation, Matrix velocity, Matrix h) final;
  void do_hebbian_step(const HebbianStep& step, ConstMatrix response, ConstMatrix residual, Matrix velocity,
                       Matrix h) final;
  void do_orthonormalise_rows(Matrix h, std::size_t first) final;
  void do_adam_step(const AdamStep& step, View<float> mean, View<float> square, View<float> gradient) final;

  /// The index that spikes bring along, or one that lasts until the next call; up to date.
  CpuSpikeIndex& index_of(const ConstSpikes& spikes);
  /// sums [rows × targets] ← scale · Σ over events of a row of weights[event, :] + beta · sums
  void sum_events(const EventRows& events, ConstMatrix weights, float scale, float beta, Matrix sums);
  /// Memory for intermediate results of one operation, kept from call to call.
  Matrix scratch(std::size_t rows, std::size_t cols);

  ThreadPool pool_;
  Array<float> scratch_;
  CpuSpikeIndex own_index_;  ///< of spikes that bring none
};

}  // namespace orthospike
