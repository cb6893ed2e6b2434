#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/array.hpp"
#include "kernels/random_key.hpp"

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

/// Leaky integrate-and-fire neuron with a current-based synapse and an adaptive threshold. In each step
///   c ← synapse_decay · c + I[t];   v ← decay · v + c;   margin = v - threshold - adaptation · a;
/// it spikes (height 1) where margin ≥ 0, and then v ← v - threshold, or v ← 0 with a hard reset; after that
///   a ← adaptation_decay · a + spike.
/// decay 1 is the integrate-and-fire neuron; synapse_decay 0 puts currents on the membrane at once.
struct Lif {
  float decay = 0;
  float threshold = 0;
  float synapse_decay = 0;
  float adaptation = 0;  ///< beta of adaptive LIF neurons (Bellec et al., 2020)
  float adaptation_decay = 0;
  bool hard_reset = false;

  struct State {
    float synapse = 0, potential = 0, adaptation = 0;
  };
  /// The margin of one step; every back end computes exactly this, so that spikes agree.
  float step(State& state, float current) const {
    state.synapse = std::fma(synapse_decay, state.synapse, current);
    state.potential = std::fma(decay, state.potential, state.synapse);
    const float margin = std::fma(-adaptation, state.adaptation, state.potential - threshold);
    const bool fires = margin >= 0.0F;
    if (fires) state.potential = hard_reset ? 0.0F : state.potential - threshold;
    state.adaptation = std::fma(adaptation_decay, state.adaptation, fires ? 1.0F : 0.0F);
    return margin;
  }
};

/// What lif neurons carry from step to step, each [batch × neurons].
struct LifState {
  Matrix synapse, potential, adaptation;
};

/// What a population did in some steps.
struct LifOutputs {
  Spikes spikes;       ///< rows ordered step · batch + sample
  Matrix mean_output;  ///< [batch × neurons] spikes per step
  Matrix margin;       ///< [steps·batch × neurons], or empty where nobody needs it
};

/// What stands for the derivative of a spike by its margin m, with slope a:
///   sigmoid       a σ(a m) (1 - σ(a m))
///   arctan        a/2 / (1 + (π/2 · a m)²)
///   fast_sigmoid  1 / (1 + a |m|)²           (Zenke & Ganguli, 2018)
///   triangle      a max(0, 1 - a |m|)
enum class Surrogate { sigmoid, arctan, fast_sigmoid, triangle };

/// How errors travel back through lif neurons.
struct LifDerivative {
  Surrogate surrogate = Surrogate::sigmoid;
  float slope = 0;
  /// Back through potentials and synapses in time too. Without it only within each step, and through
  /// adaptation: what is left for presynaptic traces to carry forward in time.
  bool through_time = true;
  bool detached_reset = true;  ///< no error through the spike that resets
};

/// One step of Hebbian learning with momentum and clamping (lateral_hebbian.hpp gives the equations).
struct HebbianStep {
  float learning_rate = 0;
  float momentum = 0;  ///< part of the old velocity that is kept
  float scale = 0;     ///< multiplies the correlation before clamping: 1 / rows of the batch
  float clamp = 0;     ///< bound on the magnitude of each scaled correlation
};

/// One step of Adam (Kingma & Ba, ICLR 2015), the t-th of a parameter.
struct AdamStep {
  float beta1 = 0;              ///< part of the old first moment that is kept
  float beta2 = 0;              ///< of the second
  float epsilon = 0;            ///< added to the root of the second moment
  float mean_correction = 0;    ///< 1 / (1 - beta1^t)
  float square_correction = 0;  ///< 1 / (1 - beta2^t)
};

/// Operations that are queued again and again on the same memory (Backend::repeat).
class RepeatedWork {
 public:
  virtual ~RepeatedWork() = default;

 private:
  friend class Backend;
  double multiply_adds_ = 0;  ///< of one time
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

  // Repetition.
  virtual std::unique_ptr<RepeatedWork> make_repeated_work() { return std::make_unique<RepeatedWork>(); }
  /// Calls `work`, or queues what it queued before: with the same `repeated` it must queue the same operations
  /// with the same arguments each time, and have no other effect. The back end must outlive `repeated`.
  void repeat(RepeatedWork& repeated, const std::function<void()>& work);

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
  /// b ← aᵀ
  void transpose(ConstMatrix a, Matrix b);
  /// y ← alpha · x + beta · y
  void add(float alpha, View<const float> x, float beta, View<float> y);
  /// values ← max(values, bound)
  void raise_to(float bound, View<float> values);
  /// y ← scale · sign(x), with sign 0 of 0
  void sign(float scale, View<const float> x, View<float> y);
  /// x[r, i] ← factor[r, i] · x[r, i], or factor[r, 0] · x[r, i] where factor has one column.
  void modulate(ConstMatrix factor, Matrix x);

  // Encoding.
  /// currents[b, j] ← (images[samples[b], pixel_order[j]] / 255 - mean) / deviation.
  /// images [count × pixels] bytes, samples [batch] < count, pixel_order [pixels] < pixels, currents [batch ×
  /// pixels].
  void encode_images(View<const std::uint8_t> images, View<const std::uint32_t> samples,
                     View<const std::uint32_t> pixel_order, float mean, float deviation, Matrix currents);

  // Spikes and neurons.
  virtual std::unique_ptr<SpikeIndex> make_spike_index() { return std::make_unique<SpikeIndex>(); }
  /// currents[r, :] ← height / dt · Σ over spikes i of row r of weights[i, :], the outgoing weights of neuron
  /// i. weights [neurons × targets], currents [rows × targets], height [1] (the threshold of the spiking
  /// population). `crossover` is the share of a dense product's additions above which Delivery::automatic takes that
  /// product: the share of active neurons, or less where an index of the spikes saves some.
  void deliver(ConstSpikes spikes, ConstMatrix weights, View<const float> height, float dt, Delivery delivery,
               float crossover, Matrix currents);
  /// c ← alpha · xᵀ · b + beta · c, x [rows × neurons] being 1 where a neuron spikes and 0 elsewhere: each row of
  /// b [rows × m] is added to the rows of c [neurons × m] whose neurons spike in it. With beta 0 c need not
  /// hold numbers.
  void correlate(float alpha, ConstSpikes spikes, ConstMatrix b, float beta, Matrix c);
  /// Runs `steps` steps of a population. currents [steps·batch × neurons], row step·batch + sample, or
  /// [batch × neurons] when the current is the same in every step; threshold [1] (height of the spikes · dt).
  void lif_dsr(const LifDsr& neuron, View<const float> threshold, std::size_t steps, ConstMatrix currents,
               const LifDsrOutputs& outputs);
  /// DSR's derivative of spikes by currents: with g = scale · gradient,
  /// gradient ← g / tau where 0 < average_current < threshold·tau/dt, else 0   (in place, [batch × neurons]);
  /// threshold_gradient[0] ← dt · Σ g over average_current > threshold·tau/dt.
  void lif_dsr_backward(const LifDsr& neuron, View<const float> threshold, float scale,
                        ConstMatrix average_current, Matrix gradient, View<float> threshold_gradient);
  /// Runs steps of lif neurons, from `state`, or from rest, and leaves their state after the last step there.
  /// currents [steps·batch × neurons], or [batch × neurons] when they are the same in every step.
  void lif(const Lif& neuron, std::size_t steps, bool from_rest, ConstMatrix currents, const LifState& state,
           const LifOutputs& outputs);
  /// Errors by the currents from those by the spikes, last step first, for e = output_error[t]:
  ///   g_s = e + g_a' - detached? 0 : (hard? v : threshold) · decay g_v';   g_m = ψ(margin) g_s
  ///   g_v = g_m + decay g_v' (hard reset: only where there was no spike);  g_a = adaptation_decay g_a' -
  ///   adaptation g_m;  g_c = g_v + synapse_decay g_c';  current_error[t] = g_c
  /// where ' is one step later; terms of g_v' and g_c' only through_time. After the last step they are those in
  /// `later` (g_c', g_v' and g_a' as synapse, potential and adaptation), where those of the first step are
  /// left; with an empty `later`, 0. margin and current_error are [steps·batch × neurons], output_error is too,
  /// or [batch × neurons] when it is the same in every step; it may be current_error itself. A hard reset that
  /// is not detached needs adaptation 0.
  void lif_backward(const Lif& neuron, const LifDerivative& derivative, std::size_t steps, ConstMatrix margin,
                    ConstMatrix output_error, const LifState& later, Matrix current_error);
  /// total[0] ← total[0] + Σ counts
  void count_spikes(View<const std::uint32_t> counts, View<std::uint64_t> total);

  // Time. Rows are ordered step · batch + sample.
  /// x[r, i] ← 1 where neuron i spikes in row r, else 0.
  void expand_spikes(ConstSpikes spikes, Matrix x);
  /// Low-pass traces in place: x[t] ← x[t] + decay · x[t - 1], where x[-1] is `last` [batch × n], which then
  /// gets the last step's. x [steps·batch × n].
  void filter(float decay, std::size_t steps, Matrix x, Matrix last);
  /// The same from the last step to the first: x[t] ← x[t] + decay · x[t + 1], 0 after the last.
  void filter_back(float decay, std::size_t steps, Matrix x);
  /// sum ← scale · Σ_t (1 + decay + … + decay^t) · x[t], t from 0: what a trace of a constant weighs. sum [batch ×
  /// n].
  void sum_steps(float scale, float decay, std::size_t steps, ConstMatrix x, Matrix sum);

  // Loss.
  /// Softmax cross-entropy of logits [steps·batch × classes], row step · batch + b, against
  /// labels[samples[b]] < classes, samples [batch]:
  /// logit_gradient ← weight · (softmax - one-hot) / rows; loss[0] += weight · Σ over samples of the mean loss
  /// over the steps; correct[0] += rows whose largest logit is the label's (the first of equals counts as
  /// largest; none when a logit is NaN).
  void cross_entropy(ConstMatrix logits, View<const std::uint8_t> labels, View<const std::uint32_t> samples,
                     float weight, Matrix logit_gradient, View<double> loss, View<std::uint32_t> correct);
  /// right[b] ← 1 where cross_entropy counts row b of logits [batch × classes] as correct, else 0.
  void mark_correct(ConstMatrix logits, View<const std::uint8_t> labels, View<const std::uint32_t> samples,
                    View<float> right);

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
  /// Activity settles under lateral inhibition L [n × n] by signed spikes of `height`: z ≈ (I + L)^-1 x. From
  /// z = 0 with potentials v = x, in each sweep each neuron in order fires k = round(v_i / (height (1 + L_ii)))
  /// spikes (half to even), negative ones too: z_i ← z_i + k height, v ← v - k height (I + L) e_i. A row is
  /// done after a sweep without spikes, with |v_i| ≤ height (1 + L_ii) / 2, or after `sweeps`. With L symmetric
  /// and positive semidefinite spikes never raise zᵀ(I + L)z / 2 - xᵀz. potential [rows × n]: x, then v;
  /// activity [rows × n] ← z. A NaN in a row makes all of it NaN. height > 0. Potentials are floats, changed in
  /// order with one fused multiply-add a spike on every back end, so that spikes agree.
  void settle_by_spikes(float height, std::size_t sweeps, ConstMatrix inhibition, Matrix potential,
                        Matrix activity);
  /// velocity ← momentum · velocity + (1 - momentum) · clamp(scale · correlation); h ← h + learning_rate ·
  /// velocity. All are [rank × n].
  void hebbian_step(const HebbianStep& step, ConstMatrix correlation, Matrix velocity, Matrix h);
  /// The same with correlation = responseᵀ · residual, from response [rows × rank] and residual [rows × n].
  void hebbian_step(const HebbianStep& step, ConstMatrix response, ConstMatrix residual, Matrix velocity,
                    Matrix h);
  /// Makes rows first… of h orthonormal among themselves and orthogonal to the rows before, which stay
  /// untouched (classical Gram-Schmidt, twice). They must be linearly independent of them.
  void orthonormalise_rows(Matrix h, std::size_t first);

  // Optimisers.
  /// mean ← beta1 · mean + (1 - beta1) · gradient; square ← beta2 · square + (1 - beta2) · gradient²;
  /// gradient ← mean_correction · mean / (√(square_correction · square) + epsilon). All are of one size.
  void adam_step(const AdamStep& step, View<float> mean, View<float> square, View<float> gradient);

  /// Multiply-adds of all dense operations so far (counted from shapes; event-driven delivery is not in it).
  double multiply_adds() const { return multiply_adds_; }

 protected:
  virtual Memory allocate_bytes(std::size_t bytes) = 0;
  virtual void do_upload(const void* from, void* to, std::size_t bytes) = 0;
  virtual void do_download(const void* from, void* to, std::size_t bytes) = 0;
  virtual void do_copy(const void* from, void* to, std::size_t bytes) = 0;
  virtual void do_clear(void* to, std::size_t bytes) = 0;

  /// Whether `work` was called, instead of being repeated from a record.
  virtual bool do_repeat(RepeatedWork& repeated, const std::function<void()>& work);

  virtual void do_fill_uniform(View<float> values, float low, float high, const RandomKey& key) = 0;
  virtual void do_fill_normal(View<float> values, const RandomKey& key) = 0;

  virtual void do_multiply(float alpha, ConstMatrix a, Transpose transpose_a, ConstMatrix b,
                           Transpose transpose_b, float beta, ConstMatrix addend, Matrix c) = 0;
  virtual void do_transpose(ConstMatrix a, Matrix b) = 0;
  virtual void do_add(float alpha, View<const float> x, float beta, View<float> y) = 0;
  virtual void do_raise_to(float bound, View<float> values) = 0;
  virtual void do_sign(float scale, View<const float> x, View<float> y) = 0;
  virtual void do_modulate(ConstMatrix factor, Matrix x) = 0;

  virtual void do_encode_images(View<const std::uint8_t> images, View<const std::uint32_t> samples,
                                View<const std::uint32_t> pixel_order, float mean, float deviation,
                                Matrix currents) = 0;

  virtual void do_deliver(ConstSpikes spikes, ConstMatrix weights, View<const float> height, float dt,
                          Delivery delivery, float crossover, Matrix currents) = 0;
  virtual void do_correlate(float alpha, ConstSpikes spikes, ConstMatrix b, float beta, Matrix c) = 0;
  virtual void do_lif_dsr(const LifDsr& neuron, View<const float> threshold, std::size_t steps,
                          ConstMatrix currents, const LifDsrOutputs& outputs) = 0;
  virtual void do_lif_dsr_backward(const LifDsr& neuron, View<const float> threshold, float scale,
                                   ConstMatrix average_current, Matrix gradient,
                                   View<float> threshold_gradient) = 0;
  virtual void do_lif(const Lif& neuron, std::size_t steps, bool from_rest, ConstMatrix currents,
                      const LifState& state, const LifOutputs& outputs) = 0;
  virtual void do_lif_backward(const Lif& neuron, const LifDerivative& derivative, std::size_t steps,
                               ConstMatrix margin, ConstMatrix output_error, const LifState& later,
                               Matrix current_error) = 0;
  virtual void do_count_spikes(View<const std::uint32_t> counts, View<std::uint64_t> total) = 0;

  virtual void do_expand_spikes(ConstSpikes spikes, Matrix x) = 0;
  virtual void do_filter(float decay, std::size_t steps, Matrix x, Matrix last) = 0;
  virtual void do_filter_back(float decay, std::size_t steps, Matrix x) = 0;
  virtual void do_sum_steps(float scale, float decay, std::size_t steps, ConstMatrix x, Matrix sum) = 0;

  virtual void do_cross_entropy(ConstMatrix logits, View<const std::uint8_t> labels,
                                View<const std::uint32_t> samples, float weight, Matrix logit_gradient,
                                View<double> loss, View<std::uint32_t> correct) = 0;
  virtual void do_mark_correct(ConstMatrix logits, View<const std::uint8_t> labels,
                               View<const std::uint32_t> samples, View<float> right) = 0;

  virtual void do_remove_subspace(ConstMatrix h, ConstMatrix x, Matrix residual) = 0;
  virtual void do_quantise(float scale, std::size_t levels, View<float> values) = 0;
  virtual void do_spike_signed(float scale, std::size_t steps, View<float> values,
                               View<std::uint32_t> spikes) = 0;
  virtual void do_settle_by_spikes(float height, std::size_t sweeps, ConstMatrix inhibition, Matrix potential,
                                   Matrix activity) = 0;
  virtual void do_hebbian_step(const HebbianStep& step, ConstMatrix correlation, Matrix velocity,
                               Matrix h) = 0;
  virtual void do_hebbian_step(const HebbianStep& step, ConstMatrix response, ConstMatrix residual,
                               Matrix velocity, Matrix h) = 0;
  virtual void do_orthonormalise_rows(Matrix h, std::size_t first) = 0;

  virtual void do_adam_step(const AdamStep& step, View<float> mean, View<float> square,
                            View<float> gradient) = 0;

 private:
  static void check_equal(const char* operation, std::size_t left, std::size_t right);

  double multiply_adds_ = 0;
};

/// Names of the back ends compiled in, in the order `auto` tries them.
std::vector<std::string> backend_names();

/// Told once, in one sentence, of something the user should know.
using Warning = std::function<void(const std::string&)>;

/// The back end of that name: reference, cpu, cuda (the first device) or cuda:N, or auto: the fastest that
/// works, with a warning when there is a GPU that does not. threads: the most that may compute, of the processors
/// that the process may use; 0 for all of these. Throws
/// ConfigError for an unknown name, EnvironmentError when the device is not there or not compiled in.
std::unique_ptr<Backend> make_backend(const std::string& name, int threads, const Warning& warn = {});

}  // namespace orthospike
