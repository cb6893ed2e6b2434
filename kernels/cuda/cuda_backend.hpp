#pragma once

#include <memory>
#include <string>

#include "kernels/backend.hpp"
#include "kernels/error.hpp"

namespace orthospike {

/// This machine has no NVIDIA GPU, or none is shown to this program.
class NoCudaDevice : public EnvironmentError {
 public:
  using EnvironmentError::EnvironmentError;
};

/// One NVIDIA GPU: cuBLAS for dense products, own kernels for spikes, neurons and subspaces and for what is
/// recorded as graphs, Thrust for other work on each element alone.
///
/// All work goes to one stream in order; the host waits in synchronise, download and upload only. No sum
/// depends on the order in which threads come: the same calls give the same bits on the same kind of device.
/// Every call must come from the thread that made the back end.
class CudaBackend final : public Backend {
 public:
  /// Throws NoCudaDevice where there is none, EnvironmentError when the driver is missing or too old, there is no
  /// device of that number, the device is too old for this build, or cuBLAS cannot be loaded.
  explicit CudaBackend(int device_number);
  ~CudaBackend() override;

  std::string name() const override { return "cuda"; }
  std::string device() const override;
  void synchronise() override;
  std::unique_ptr<RepeatedWork> make_repeated_work() override;

 private:
  /// The first time calls the work, which may allocate; the second time records it as a CUDA graph; then
  /// launches that graph.
  bool do_repeat(RepeatedWork& repeated, const std::function<void()>& work) final;
  Memory allocate_bytes(std::size_t bytes) final;
  void do_upload(const void* from, void* to, std::size_t bytes) final;
  void do_download(const void* from, void* to, std::size_t bytes) final;
  void do_copy(const void* from, void* to, std::size_t bytes) final;
  void do_clear(void* to, std::size_t bytes) final;
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

  /// Memory for intermediate results of one operation, kept from call to call.
  Matrix scratch(std::size_t rows, std::size_t cols);

  struct Context;
  std::unique_ptr<Context> context_;
};

/// Whether this program was compiled with the CUDA back end.
bool has_cuda_backend();

/// Throws as CudaBackend's constructor, and EnvironmentError when this program was compiled without it.
std::unique_ptr<Backend> make_cuda_backend(int device_number);

}  // namespace orthospike
