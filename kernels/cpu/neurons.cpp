#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/neurons.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first: this file is compiled once for each instruction set.
#include <hwy/cache_control.h>
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <span>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/packed_lanes.hpp"
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

/// events ← first + lane for the lanes that are set, and perhaps some that mean nothing, as many as there are lanes in all;
/// the number of those set.
template <class Tag>
HWY_INLINE std::uint32_t list_lanes(Tag tag, hn::Mask<Tag> lanes, std::uint32_t first,
                                    std::uint32_t* events) {
  const hn::RebindToUnsigned<Tag> event_tag;
  const auto from = hn::Set(event_tag, first);
  if constexpr (hn::MaxLanes(tag) <= packed_lanes[0].size()) {
    std::uint8_t bits[8];  // StoreMaskBits may write as many
    hn::StoreMaskBits(tag, lanes, bits);
    const hn::Rebind<std::uint8_t, Tag> lane_tag;
    const auto packed = hn::PromoteTo(event_tag, hn::LoadU(lane_tag, packed_lanes[bits[0]].data()));
    hn::StoreU(hn::Add(from, packed), event_tag, events);
    return static_cast<std::uint32_t>(std::popcount(bits[0]));
  } else {
    if (hn::AllFalse(tag, lanes)) return 0;
    const auto all = hn::Add(hn::Iota(event_tag, 0), from);
    hn::StoreU(hn::Compress(all, hn::RebindMask(event_tag, lanes)), event_tag, events);
    return static_cast<std::uint32_t>(hn::CountTrue(tag, lanes));
  }
}

/// Neurons that run all their steps before the next ones do: few enough for what they carry from step to step to stay in
/// the first-level cache, and enough for what differs from step to step to be read and written in long runs. Steps lie a
/// multiple of a page apart, so that short ones would drive each other out of all caches.
constexpr std::size_t block_size = 512;

/// What a block carries from step to step. Rows are not a multiple of a page apart, either.
template <class Model>
struct Carried {
  using Row = float[block_size + 32];

  alignas(64) Row state[state_size<Model>];
  alignas(64) Row spike_count, current_sum, spike_sum;  ///< the latter two with the weights of averages
};

/// Where one step of a block reads and writes.
struct StepAt {
  const float* current;
  const float* next;                   ///< current of the step after it, or of none
  float* margin;                       ///< or null
  std::span<float* const> each_state;  ///< or empty
  std::uint32_t* events;               ///< of the whole sample
  std::uint32_t first;                 ///< neuron
};

/// One step of one vector of neurons, from neuron i of the block on; `count` events precede it.
template <class Tag, class Model, std::size_t... field, class... V>
HWY_INLINE void step_vector(Tag tag, const Model& neuron, const StepAt& step, std::size_t i,
                            Carried<Model>& carried, std::uint32_t& count, std::index_sequence<field...>,
                            V... state) {
  const auto current = hn::LoadU(tag, step.current + i);
  hwy::Prefetch(step.next + i);
  auto margin = hn::Zero(tag);
  const auto fired = neuron.step(VectorOps<Tag>(), current, margin, state...);
  const auto spike = hn::IfThenElseZero(fired, hn::Set(tag, 1.0F));
  const auto sum = [&](float* to, float decay, hn::Vec<Tag> value) {
    hn::StoreU(hn::MulAdd(hn::Set(tag, decay), hn::LoadU(tag, to), value), tag, to);
  };
  sum(carried.spike_count + i, 1.0F, spike);
  if constexpr (HasAverages<Model>) {
    sum(carried.current_sum + i, neuron.averaging_decay(), current);
    sum(carried.spike_sum + i, neuron.averaging_decay(), spike);
  }
  (hn::StoreU(state, tag, carried.state[field] + i), ...);
  if (step.margin != nullptr) hn::StoreU(margin, tag, step.margin + i);
  if (!step.each_state.empty()) (hn::StoreU(state, tag, step.each_state[field] + i), ...);
  // Whole vectors stay inside the sample's events: at most as many precede as neurons do.
  count += list_lanes(tag, fired, step.first + static_cast<std::uint32_t>(i), step.events + count);
}

template <class Tag, class Model, std::size_t... field>
HWY_INLINE void step_from_state(Tag tag, const Model& neuron, const StepAt& step, std::size_t i,
                                Carried<Model>& carried, std::uint32_t& count,
                                std::index_sequence<field...> fields) {
  step_vector(tag, neuron, step, i, carried, count, fields, hn::LoadU(tag, carried.state[field] + i)...);
}

/// All steps of neurons [first, last) of sample b.
template <class Model>
HWY_INLINE void run_block(const RunNeurons<Model>& run, const Shared<Model>& shared, std::size_t b,
                          std::size_t first, std::size_t last) {
  const hn::ScalableTag<float> tag;
  const hn::CappedTag<float, 1> one;
  const std::size_t lanes = hn::Lanes(tag), size = last - first, at = b * run.neurons() + first;
  const auto fields = std::make_index_sequence<state_size<Model>>();
  const Model neuron = shared.neuron;
  Carried<Model> carried;
  for (std::size_t field = 0; field < state_size<Model>; ++field) {
    if (run.from_rest) {
      std::fill_n(carried.state[field], size, 0.0F);
    } else {
      std::copy_n(run.state[field].address() + at, size, carried.state[field]);
    }
  }
  for (float* const sums : {carried.spike_count, carried.current_sum, carried.spike_sum})
    std::fill_n(sums, size, 0.0F);

  for (std::size_t t = 0; t < run.steps; ++t) {
    const std::size_t row = t * run.batch() + b, in_row = row * run.neurons();
    std::array<float*, state_size<Model>> each_state{};
    for (std::size_t field = 0; run.keeps_states() && field < each_state.size(); ++field)
      each_state[field] = run.each_state[field].address() + in_row + first;
    const float* const current = run.currents.address() + t * run.step_stride() + at;
    const StepAt step{
        .current = current,
        .next = t + 1 < run.steps ? current + run.step_stride() : current,
        .margin = run.outputs.margin.empty() ? nullptr : run.outputs.margin.address() + in_row + first,
        .each_state = run.keeps_states() ? each_state : std::span<float* const>(),
        .events = run.outputs.spikes.indices.address() + in_row,
        .first = static_cast<std::uint32_t>(first)};
    std::uint32_t count = run.outputs.spikes.counts.address()[row];
    std::size_t i = 0;
    for (; i + lanes <= size; i += lanes) step_from_state(tag, neuron, step, i, carried, count, fields);
    for (; i < size; ++i) step_from_state(one, neuron, step, i, carried, count, fields);
    run.outputs.spikes.counts.address()[row] = count;
  }

  for (std::size_t field = 0; field < state_size<Model>; ++field)
    std::copy_n(carried.state[field], size, run.state[field].address() + at);
  const auto store = [&](const float* sums, float scale, const Matrix& outputs) {
    for (std::size_t i = 0; i < size; ++i) outputs.address()[at + i] = scale * sums[i];
  };
  store(carried.spike_count, shared.mean_scale, run.outputs.mean_output);
  if constexpr (HasAverages<Model>) {
    store(carried.current_sum, shared.current_scale, run.outputs.average_current);
    store(carried.spike_sum, shared.output_scale, run.outputs.average_output);
  }
}

// One function an operation, of a range of its work. Each returns what it adds to a sum.

/// All steps of samples [first, last).
template <class Model>
float range(const RunNeurons<Model>& run, std::size_t first, std::size_t last) {
  const Shared<Model> shared(run);
  for (std::size_t b = first; b < last; ++b) {
    for (std::size_t t = 0; t < run.steps; ++t) run.outputs.spikes.counts.address()[t * run.batch() + b] = 0;
    for (std::size_t i = 0; i < run.neurons(); i += block_size)
      run_block(run, shared, b, i, std::min(run.neurons(), i + block_size));
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
