#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/neurons.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first: this file is compiled once for each instruction set.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <numeric>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/host_view.hpp"
#include "kernels/neurons.hpp"

HWY_BEFORE_NAMESPACE();
namespace orthospike::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// The words of ScalarOps for vectors. Vectors go from function to function as they are, in packs: those of some
/// instruction sets can be no members.
template <class Tag>
struct VectorOps {
  using V = hn::Vec<Tag>;
  using Mask = hn::Mask<Tag>;

  template <class X>
  V set(X x) const {
    return hn::Set(Tag(), static_cast<float>(x));
  }
  V add(V a, V b) const { return hn::Add(a, b); }
  V sub(V a, V b) const { return hn::Sub(a, b); }
  V mul(V a, V b) const { return hn::Mul(a, b); }
  V div(V a, V b) const { return hn::Div(a, b); }
  V fma(V a, V b, V c) const { return hn::MulAdd(a, b, c); }
  V fnma(V a, V b, V c) const { return hn::NegMulAdd(a, b, c); }
  V abs(V a) const { return hn::Abs(a); }
  V max(V a, V b) const { return hn::Max(a, b); }
  // Where several models have it, g++ calls it on HWY_SCALAR. Of the other targets it refuses to inline it always, as
  // the templates of the models are of no such target, and does so unasked.
  V exp(V a) const requires(HWY_TARGET != HWY_SCALAR) { return hn::Exp(Tag(), a); }
  HWY_INLINE V exp(V a) const requires(HWY_TARGET == HWY_SCALAR) { return hn::Exp(Tag(), a); }
  Mask ge(V a, V b) const { return hn::Ge(a, b); }
  Mask gt(V a, V b) const { return hn::Gt(a, b); }
  Mask both(Mask a, Mask b) const { return hn::And(a, b); }
  V select(Mask condition, V a, V b) const { return hn::IfThenElse(condition, a, b); }
  V where(Mask condition, V a) const { return hn::IfThenElseZero(condition, a); }
};

/// What the neurons of a run have in common.
template <class Model>
struct Shared {
  explicit Shared(const RunNeurons<Model>& run) : neuron(loaded(run.neuron, run.trained.address())) {
    const auto height = neuron.template height<float>();
    mean_scale = height / static_cast<float>(run.steps);
    if constexpr (HasAverages<Model>) {
      current_scale = static_cast<float>(1.0 / run.weight_sum());
      output_scale = height * current_scale;
    }
  }

  Model neuron;
  float mean_scale;                           ///< of a number of spikes
  float current_scale = 0, output_scale = 0;  ///< of weighted sums of currents and of spikes
};

/// All steps of one vector of neurons, from neuron i of sample b on, whose state stays in registers; the event lists of
/// all steps grow side by side.
template <class Tag, class Model, std::size_t... field, class... V>
HWY_INLINE void run_vector(Tag tag, const RunNeurons<Model>& run, const Shared<Model>& shared, std::size_t b,
                           std::size_t i, std::index_sequence<field...>, V... state) {
  const Model& neuron = shared.neuron;
  const hn::RebindToUnsigned<Tag> index_tag;
  const VectorOps<Tag> ops;
  const std::size_t batch = run.batch(), neurons = run.neurons(), step_stride = run.step_stride();
  const std::size_t at = b * neurons + i;
  std::uint32_t* const counts = run.outputs.spikes.counts.address();
  std::uint32_t* const indices = run.outputs.spikes.indices.address();
  float* const margins = run.outputs.margin.empty() ? nullptr : run.outputs.margin.address();
  const bool keeps_states = run.keeps_states();
  const auto zero = hn::Zero(tag), one = hn::Set(tag, 1.0F);
  const auto index = hn::Add(hn::Iota(index_tag, 0), hn::Set(index_tag, static_cast<std::uint32_t>(i)));

  auto spike_count = zero, current_sum = zero, spike_sum = zero;
  const float* current_at = run.currents.address() + at;
  for (std::size_t t = 0; t < run.steps; ++t, current_at += step_stride) {
    const std::size_t row = t * batch + b;
    const auto current = hn::LoadU(tag, current_at);
    auto margin = zero;
    const auto fired = neuron.step(ops, current, margin, state...);
    const auto spike = hn::IfThenElseZero(fired, one);
    spike_count = hn::Add(spike_count, spike);
    if constexpr (HasAverages<Model>) {
      const auto decay = hn::Set(tag, neuron.averaging_decay());
      current_sum = hn::MulAdd(decay, current_sum, current);
      spike_sum = hn::MulAdd(decay, spike_sum, spike);
    }
    if (margins != nullptr) hn::StoreU(margin, tag, margins + row * neurons + i);
    if (keeps_states) (hn::StoreU(state, tag, run.each_state[field].address() + row * neurons + i), ...);
    if (!hn::AllFalse(tag, fired)) {
      // Compressing in a register and storing the whole vector stays inside the row: at most i events precede.
      const auto packed = hn::Compress(index, hn::RebindMask(index_tag, fired));
      hn::StoreU(packed, index_tag, indices + row * neurons + counts[row]);
      counts[row] += static_cast<std::uint32_t>(hn::CountTrue(tag, fired));
    }
  }

  (hn::StoreU(state, tag, run.state[field].address() + at), ...);
  const auto store_scaled = [&](hn::Vec<Tag> values, float scale, const Matrix& to) {
    hn::StoreU(hn::Mul(values, hn::Set(tag, scale)), tag, to.address() + at);
  };
  store_scaled(spike_count, shared.mean_scale, run.outputs.mean_output);
  if constexpr (HasAverages<Model>) {
    store_scaled(current_sum, shared.current_scale, run.outputs.average_current);
    store_scaled(spike_sum, shared.output_scale, run.outputs.average_output);
  }
}

template <class Tag, class Model, std::size_t... field>
HWY_INLINE void run_from_state(Tag tag, const RunNeurons<Model>& run, const Shared<Model>& shared,
                               std::size_t b, std::size_t i, std::index_sequence<field...> fields) {
  const std::size_t at = b * run.neurons() + i;
  run_vector(tag, run, shared, b, i, fields,
             (run.from_rest ? hn::Zero(tag) : hn::LoadU(tag, run.state[field].address() + at))...);
}

// One function an operation, of a range of its work. Each returns what it adds to a sum.

/// All steps of samples [first, last).
template <class Model>
float range(const RunNeurons<Model>& run, std::size_t first, std::size_t last) {
  const hn::ScalableTag<float> tag;
  const std::size_t lanes = hn::Lanes(tag);
  const auto fields = std::make_index_sequence<state_size<Model>>();
  const Shared<Model> shared(run);
  std::uint32_t* const counts = run.outputs.spikes.counts.address();
  for (std::size_t b = first; b < last; ++b) {
    for (std::size_t t = 0; t < run.steps; ++t) counts[t * run.batch() + b] = 0;
    std::size_t i = 0;
    for (; i + lanes <= run.neurons(); i += lanes) run_from_state(tag, run, shared, b, i, fields);
    for (; i < run.neurons(); ++i) run_from_state(hn::CappedTag<float, 1>(), run, shared, b, i, fields);
  }
  return 0;
}

/// Elements of each step from `at` on that one vector holds, last step first.
template <class Tag, class Model, std::size_t... field, class... V>
HWY_INLINE void backward_vector(Tag tag, const NeuronsBackward<Model>& run, const Model& neuron,
                                std::size_t at, std::index_sequence<field...>, V... later) {
  const VectorOps<Tag> ops;
  const SurrogateDerivative derivative = run.derivative;  // a copy, which stores of errors cannot change
  const std::size_t size = run.step_size(), error_stride = run.step_stride();
  for (std::size_t t = run.steps; t-- > 0;) {
    const auto margin = hn::LoadU(tag, run.margin.address() + t * size + at);
    const auto error = hn::LoadU(tag, run.output_error.address() + t * error_stride + at);
    const auto by_current = neuron.backward(ops, derivative, margin, error, later...);
    hn::StoreU(by_current, tag, run.current_error.address() + t * size + at);
  }
  if (run.has_later()) (hn::StoreU(later, tag, run.later[field].address() + at), ...);
}

template <class Tag, class Model, std::size_t... field>
HWY_INLINE void backward_from_later(Tag tag, const NeuronsBackward<Model>& run, const Model& neuron,
                                    std::size_t at, std::index_sequence<field...> fields) {
  backward_vector(tag, run, neuron, at, fields,
                  (run.has_later() ? hn::LoadU(tag, run.later[field].address() + at) : hn::Zero(tag))...);
}

/// Elements [first, last) of each step.
template <class Model>
float range(const NeuronsBackward<Model>& run, std::size_t first, std::size_t last) {
  const hn::ScalableTag<float> tag;
  const std::size_t lanes = hn::Lanes(tag);
  const auto fields = std::make_index_sequence<state_size<Model>>();
  const Model neuron = run.neuron;
  std::size_t at = first;
  for (; at + lanes <= last; at += lanes) backward_from_later(tag, run, neuron, at, fields);
  for (; at < last; ++at) backward_from_later(hn::CappedTag<float, 1>(), run, neuron, at, fields);
  return 0;
}

/// Elements [first, last) of the gradient; the sum is that of what is trained, without its scale.
template <class Model>
float range(const AveragesBackward<Model>& run, std::size_t first, std::size_t last) {
  const hn::ScalableTag<float> tag;
  const std::size_t lanes = hn::Lanes(tag);
  const Model neuron = loaded(run.neuron, run.trained.address());
  const float* const average_current = run.average_current.address();
  float* const gradient = run.gradient.address();
  const auto differentiate = [&](auto part, std::size_t at) {
    const VectorOps<decltype(part)> ops;
    const auto average = hn::LoadU(part, average_current + at);
    const auto error = hn::LoadU(part, gradient + at);
    hn::StoreU(neuron.by_average_current(ops, run.scale, average, error), part, gradient + at);
    return neuron.by_trained(ops, average, error);
  };
  auto sums = hn::Zero(tag);
  std::size_t at = first;
  for (; at + lanes <= last; at += lanes) sums = hn::Add(sums, differentiate(tag, at));
  float sum = hn::GetLane(hn::SumOfLanes(tag, sums));
  for (; at < last; ++at) sum += hn::GetLane(differentiate(hn::CappedTag<float, 1>(), at));
  return sum;
}

template <class... Operations>
auto ranges_of(std::type_identity<std::tuple<Operations...>> /*operations*/) {
  return std::tuple(static_cast<float (*)(const Operations&, std::size_t, std::size_t)>(&range)...);
}

/// Of all operations of all models, so that one dispatch serves them.
auto ranges() {
  return ranges_of(std::type_identity<OperationsOf<NeuronKernels>::Type>());
}

}  // namespace orthospike::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthospike {

namespace {

HWY_EXPORT(ranges);

template <class Operation>
float range(const Operation& op, std::size_t first, std::size_t last) {
  using Range = float (*)(const Operation&, std::size_t, std::size_t);
  return std::get<Range>(HWY_DYNAMIC_DISPATCH(ranges)())(op, first, last);
}

}  // namespace

template <class Model>
void execute(CpuBackend& cpu, const RunNeurons<Model>& op) {
  for_each_range(cpu.pool(), op.batch(), samples_per_piece(op.neurons() * op.steps),
                 [&](std::size_t, std::size_t first, std::size_t last) { range(op, first, last); });
}

template <class Model>
void execute(CpuBackend& cpu, const NeuronsBackward<Model>& op) {
  for_each_range(cpu.pool(), op.step_size(), elements_per_piece(op.steps),
                 [&](std::size_t, std::size_t first, std::size_t last) { range(op, first, last); });
}

template <class Model>
void execute(CpuBackend& cpu, const AveragesBackward<Model>& op) {
  const std::size_t size = op.gradient.values.size();
  std::vector<double> sums((size + elementwise_piece - 1) / elementwise_piece);
  for_each_range(
      cpu.pool(), size, elementwise_piece,
      [&](std::size_t piece, std::size_t first, std::size_t last) { sums[piece] = range(op, first, last); });
  host(op.trained_gradient)[0] = op.neuron.trained_scale() * op.scale *
                                 static_cast<float>(std::accumulate(sums.begin(), sums.end(), 0.0));
}

template std::shared_ptr<NeuronSteps> make_family(CpuBackend&, double&);

}  // namespace orthospike
#endif
