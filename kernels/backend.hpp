#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/array.hpp"
#include "kernels/random.hpp"

namespace orthospike {

enum class Transpose { no, yes };

/// How spikes reach the next population: along the event lists, through a dense product, or whichever the
/// measured density makes cheaper.
enum class Delivery { automatic, events, dense };

/// LIF neuron in the form of DSR (method: Meng et al., CVPR 2022):
/// u ← decay·u + (1 - decay)·I[t]; a spike of height threshold / dt when u ≥ firing_fraction·threshold, and
/// then u ← u - threshold. The state u is 0 before the first step.
struct LifDsr {
  float decay = 0;            ///< exp(-dt/tau), dimensionless
  float dt = 0;               ///< step, in the unit of tau
  float tau = 0;              ///< membrane time constant
  float firing_fraction = 0;  ///< part of the threshold at which the neuron fires (alpha)

  /// Membrane potential after one step; every back end computes exactly this, so that spikes agree.
  float step(float u, float current) const { return std::fma(decay, u, (1.0F - decay) * current); }
};

/// What a population did in T steps, per sample; each [batch × neurons].
/// Weighted averages have weights exp(-(T-i)·dt/tau), i = 1…T, normalised to sum 1.
struct LifDsrOutputs {
  Spikes spikes;           ///< rows ordered step · batch + sample
  Matrix average_current;  ///< weighted average of the input current
  Matrix average_output;   ///< weighted average of the output (spike height included)
  Matrix mean_output;      ///< plain mean of the output
  Matrix membrane;         ///< potential after the last step
};

/// One step of Hebbian learning with momentum and clamping (lateral_hebbian.hpp gives the equations).
struct HebbianStep {
  float learning_rate = 0;
  float momentum = 0;  ///< part of the old velocity that is kept
  float scale = 0;     ///< multiplies the correlation before clamping: 1 / rows of the batch
  float clamp = 0;     ///< bound on the magnitude of each scaled correlation
};

/// The numeric operations and the memory they work on; the only thing above which code knows no device.
///
/// Calls enqueue work in order and may return before it is done; `synchronise` and `download` wait. Public
/// members check shapes (std::invalid_argument: an error in the calling code), count arithmetic and call the
/// `do_` members, which each back end implements. Operations on the same arguments give the same bits
/// whatever the number of threads. Matrices are row-major; an operation's output must not overlap its inputs
/// unless it says so.
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  /// Config name: reference, cpu, cuda.
  virtual std::string name() const = 0;
  /// What the work runs on, in words, for run files.
  virtual std::string device() const = 0;
  /// Host threads that do the work.
  virtual int threads() const { return 1; }

  // Memory. `allocate` fills with zeros; throws EnvironmentError when there is not enough.
  template <class T>
  Array<T> allocate(std::size_t size) {
    return {allocate_bytes(size * sizeof(T)), size};
  }
  template <class T>
  void upload(std::span<const T> from, View<T> to) {
    check_equal("upload", from.size(), to.size());
    do_upload(from.data(), to.address(), from.size_bytes());
  }
  /// Waits for all earlier operations.
  template <class T>
  void download(View<const T> from, std::span<T> to) {
    check_equal("download", from.size(), to.size());
    do_download(from.address(), to.data(), to.size_bytes());
  }
  template <class T>
  std::vector<T> download(View<const T> from) {
    std::vector<T> to(from.size());
    download(from, std::span<T>(to));
    return to;
  }
  template <class T>
  void copy(View<const T> from, View<T> to) {
    check_equal("copy", from.size(), to.size());
    do_copy(from.address(), to.address(), from.size() * sizeof(T));
  }
  template <class T>
  void clear(View<T> values) {
    do_clear(values.address(), values.size() * sizeof(T));
  }
  virtual void synchronise() = 0;

  // Random numbers (random.hpp). Element i is word i % 4 of block i / 4 (uniform) or words (0, 1), (2, 3) of
  // block i / 2 (normal).
  /// values ← uniform in [low, high).
  void fill_uniform(View<float> values, float low, float high, const RandomKey& key);
  /// values ← standard normal.
  void fill_normal(View<float> values, const RandomKey& key);

  // Dense products.
  /// c ← alpha · op(a) · op(b) + beta · addend; addend may be c; with beta 0 it need not hold numbers.
  void multiply(float alpha, ConstMatrix a, Transpose transpose_a, ConstMatrix b, Transpose transpose_b,
                float beta, ConstMatrix addend, Matrix c);
  /// c ← alpha · op(a) · op(b) + beta · c
  void multiply(float alpha, ConstMatrix a, Transpose transpose_a, ConstMatrix b, Transpose transpose_b,
                float beta, Matrix c);
  /// y ← alpha · x + beta · y
  void add(float alpha, View<const float> x, float beta, View<float> y);
  /// values ← max(values, bound)
  void raise_to(float bound, View<float> values);

  // Encoding.
  /// currents[b, j] ← (images[samples[b], pixel_order[j]] / 255 - mean) / deviation.
  /// images [count × pixels] bytes, samples [batch] < count, pixel_order [pixels] < pixels, currents [batch ×
  /// pixels].
  void encode_images(View<const std::uint8_t> images, View<const std::uint32_t> samples,
                     View<const std::uint32_t> pixel_order, float mean, float deviation, Matrix currents);

  // Spikes and neurons.
  /// currents[r, :] ← height / dt · Σ over spikes i of row r of weights[i, :], the outgoing weights of neuron
  /// i. weights [neurons × targets], currents [rows × targets], height [1] (the threshold of the spiking
  /// population). `crossover` is the share of active neurons above which Delivery::automatic takes the dense
  /// product.
  void deliver(ConstSpikes spikes, ConstMatrix weights, View<const float> height, float dt, Delivery delivery,
               float crossover, Matrix currents);
  /// Runs `steps` steps of a population. currents [steps·batch × neurons], row step·batch + sample, or
  /// [batch × neurons] when the current is the same in every step; threshold [1] (height of the spikes · dt).
  void lif_dsr(const LifDsr& neuron, View<const float> threshold, std::size_t steps, ConstMatrix currents,
               const LifDsrOutputs& outputs);
  /// DSR's derivative of spikes by currents: with g = scale · gradient,
  /// gradient ← g / tau where 0 < average_current < threshold·tau/dt, else 0   (in place, [batch × neurons]);
  /// threshold_gradient[0] ← dt · Σ g over average_current > threshold·tau/dt.
  void lif_dsr_backward(const LifDsr& neuron, View<const float> threshold, float scale,
                        ConstMatrix average_current, Matrix gradient, View<float> threshold_gradient);
  /// total[0] ← total[0] + Σ counts
  void count_spikes(View<const std::uint32_t> counts, View<std::uint64_t> total);

  // Loss.
  /// Softmax cross-entropy of logits [batch × classes] against labels[samples[b]] < classes:
  /// logit_gradient ← (softmax - one-hot) / batch; loss[0] += Σ over samples of the loss;
  /// correct[0] += samples whose largest logit is the label's (the first of equals counts as largest; none
  /// when a logit is NaN).
  void cross_entropy(ConstMatrix logits, View<const std::uint8_t> labels, View<const std::uint32_t> samples,
                     Matrix logit_gradient, View<double> loss, View<std::uint32_t> correct);

  // Subspaces. A subspace is h [rank × n], one subspace neuron a row.
  /// residual ← x - (x hᵀ) h for x, residual [rows × n]; they may be the same matrix.
  void remove_subspace(ConstMatrix h, ConstMatrix x, Matrix residual);
  /// values ← round(clamp(values, ±scale) / scale · levels) / levels · scale, rounding half to even: the
  /// quantised response of Xiao et al., ICLR 2024. Keeps NaN. scale > 0, levels > 0.
  void quantise(float scale, std::size_t levels, View<float> values);
  /// Runs `steps` steps of signed spiking neurons, each driven by its current `values`, the same in every
  /// step. From u = 0: u ← u + current; where |u| ≥ scale / 2 the neuron emits one spike of the sign of u,
  /// and u ← u ∓ scale. values ← (positive - negative spikes) / steps · scale, NaN where u ends as NaN;
  /// spikes [values] ← spikes of both signs. scale > 0, steps > 0. Potentials are floats, added in order on
  /// every back end, so that spikes agree.
  void spike_signed(float scale, std::size_t steps, View<float> values, View<std::uint32_t> spikes);
  /// velocity ← momentum · velocity + (1 - momentum) · clamp(scale · correlation); h ← h + learning_rate ·
  /// velocity. All are [rank × n].
  void hebbian_step(const HebbianStep& step, ConstMatrix correlation, Matrix velocity, Matrix h);
  /// The same with correlation = responseᵀ · residual, from response [rows × rank] and residual [rows × n].
  void hebbian_step(const HebbianStep& step, ConstMatrix response, ConstMatrix residual, Matrix velocity,
                    Matrix h);
  /// Makes rows first… of h orthonormal among themselves and orthogonal to the rows before, which stay
  /// untouched (classical Gram-Schmidt, twice). They must be linearly independent of them.
  void orthonormalise_rows(Matrix h, std::size_t first);

  /// Multiply-adds of all dense operations so far (counted from shapes; event-driven delivery is not in it).
  double multiply_adds() const { return multiply_adds_; }

 protected:
  virtual Memory allocate_bytes(std::size_t bytes) = 0;
  virtual void do_upload(const void* from, void* to, std::size_t bytes) = 0;
  virtual void do_download(const void* from, void* to, std::size_t bytes) = 0;
  virtual void do_copy(const void* from, void* to, std::size_t bytes) = 0;
  virtual void do_clear(void* to, std::size_t bytes) = 0;

  virtual void do_fill_uniform(View<float> values, float low, float high, const RandomKey& key) = 0;
  virtual void do_fill_normal(View<float> values, const RandomKey& key) = 0;

  virtual void do_multiply(float alpha, ConstMatrix a, Transpose transpose_a, ConstMatrix b,
                           Transpose transpose_b, float beta, ConstMatrix addend, Matrix c) = 0;
  virtual void do_add(float alpha, View<const float> x, float beta, View<float> y) = 0;
  virtual void do_raise_to(float bound, View<float> values) = 0;

  virtual void do_encode_images(View<const std::uint8_t> images, View<const std::uint32_t> samples,
                                View<const std::uint32_t> pixel_order, float mean, float deviation,
                                Matrix currents) = 0;

  virtual void do_deliver(ConstSpikes spikes, ConstMatrix weights, View<const float> height, float dt,
                          Delivery delivery, float crossover, Matrix currents) = 0;
  virtual void do_lif_dsr(const LifDsr& neuron, View<const float> threshold, std::size_t steps,
                          ConstMatrix currents, const LifDsrOutputs& outputs) = 0;
  virtual void do_lif_dsr_backward(const LifDsr& neuron, View<const float> threshold, float scale,
                                   ConstMatrix average_current, Matrix gradient,
                                   View<float> threshold_gradient) = 0;
  virtual void do_count_spikes(View<const std::uint32_t> counts, View<std::uint64_t> total) = 0;

  virtual void do_cross_entropy(ConstMatrix logits, View<const std::uint8_t> labels,
                                View<const std::uint32_t> samples, Matrix logit_gradient, View<double> loss,
                                View<std::uint32_t> correct) = 0;

  virtual void do_remove_subspace(ConstMatrix h, ConstMatrix x, Matrix residual) = 0;
  virtual void do_quantise(float scale, std::size_t levels, View<float> values) = 0;
  virtual void do_spike_signed(float scale, std::size_t steps, View<float> values,
                               View<std::uint32_t> spikes) = 0;
  virtual void do_hebbian_step(const HebbianStep& step, ConstMatrix correlation, Matrix velocity,
                               Matrix h) = 0;
  virtual void do_hebbian_step(const HebbianStep& step, ConstMatrix response, ConstMatrix residual,
                               Matrix velocity, Matrix h) = 0;
  virtual void do_orthonormalise_rows(Matrix h, std::size_t first) = 0;

 private:
  static void check_equal(const char* operation, std::size_t left, std::size_t right);

  double multiply_adds_ = 0;
};

/// Names of the back ends compiled in, in the order `auto` tries them.
std::vector<std::string> backend_names();

/// Told once, in one sentence, of something the user should know.
using Warning = std::function<void(const std::string&)>;

/// The back end of that name: reference, cpu, cuda (the first device) or cuda:N, or auto: the fastest that
/// works, with a warning when that is not the fastest compiled in. threads: 0 for all cores. Throws
/// ConfigError for an unknown name, EnvironmentError when the device is not there or not compiled in.
std::unique_ptr<Backend> make_backend(const std::string& name, int threads, const Warning& warn = {});

}  // namespace orthospike
