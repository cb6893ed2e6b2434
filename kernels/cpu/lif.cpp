#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/lif.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first: this file is compiled once for each instruction set.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <numbers>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/lif.hpp"

HWY_BEFORE_NAMESPACE();
namespace orthospike::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// All steps of sample b, as lif_dsr_sample does them.
void lif_sample(const RunLif& run, std::size_t b) {
  const hn::ScalableTag<float> tag;
  const hn::RebindToUnsigned<decltype(tag)> index_tag;
  const std::size_t lanes = hn::Lanes(tag);

  const Lif& neuron = run.neuron;
  const auto decay = hn::Set(tag, neuron.decay);
  const auto synapse_decay = hn::Set(tag, neuron.synapse_decay);
  const auto adaptation = hn::Set(tag, neuron.adaptation);
  const auto adaptation_decay = hn::Set(tag, neuron.adaptation_decay);
  const auto threshold = hn::Set(tag, neuron.threshold);
  const auto zero = hn::Zero(tag);
  const auto one = hn::Set(tag, 1.0F);
  const float per_step = 1.0F / static_cast<float>(run.steps);

  const std::size_t batch = run.batch(), neurons = run.neurons(), step_stride = run.step_stride();
  const float* const currents = run.currents.address();
  float* const synapse = run.state.synapse.address();
  float* const potential = run.state.potential.address();
  float* const adapted = run.state.adaptation.address();
  float* const mean_output = run.outputs.mean_output.address();
  std::uint32_t* const counts = run.outputs.spikes.counts.address();
  std::uint32_t* const indices = run.outputs.spikes.indices.address();
  float* const margins = run.outputs.margin.empty() ? nullptr : run.outputs.margin.address();
  for (std::size_t t = 0; t < run.steps; ++t) counts[t * batch + b] = 0;

  std::size_t i = 0;
  for (; i + lanes <= neurons; i += lanes) {
    const std::size_t at = b * neurons + i;
    auto c = zero, v = zero, a = zero, spike_count = zero;
    if (!run.from_rest) {
      c = hn::LoadU(tag, synapse + at);
      v = hn::LoadU(tag, potential + at);
      a = hn::LoadU(tag, adapted + at);
    }
    const auto index = hn::Iota(index_tag, static_cast<std::uint32_t>(i));
    const float* current_at = currents + at;
    for (std::size_t t = 0; t < run.steps; ++t, current_at += step_stride) {
      const std::size_t row = t * batch + b;
      c = hn::MulAdd(synapse_decay, c, hn::LoadU(tag, current_at));
      v = hn::MulAdd(decay, v, c);
      const auto margin = hn::NegMulAdd(adaptation, a, hn::Sub(v, threshold));
      const auto fired = hn::Ge(margin, zero);
      const auto spike = hn::IfThenElseZero(fired, one);
      v = hn::IfThenElse(fired, neuron.hard_reset ? zero : hn::Sub(v, threshold), v);
      a = hn::MulAdd(adaptation_decay, a, spike);
      spike_count = hn::Add(spike_count, spike);
      if (margins != nullptr) hn::StoreU(margin, tag, margins + row * neurons + i);
      if (!hn::AllFalse(tag, fired)) {
        // The whole vector stays inside the row: at most i events precede.
        const auto packed = hn::Compress(index, hn::RebindMask(index_tag, fired));
        hn::StoreU(packed, index_tag, indices + row * neurons + counts[row]);
        counts[row] += static_cast<std::uint32_t>(hn::CountTrue(tag, fired));
      }
    }
    hn::StoreU(c, tag, synapse + at);
    hn::StoreU(v, tag, potential + at);
    hn::StoreU(a, tag, adapted + at);
    hn::StoreU(hn::Mul(spike_count, hn::Set(tag, per_step)), tag, mean_output + at);
  }

  for (; i < neurons; ++i) {
    const std::size_t at = b * neurons + i;
    Lif::State state;
    if (!run.from_rest) {
      state = {.synapse = synapse[at], .potential = potential[at], .adaptation = adapted[at]};
    }
    float spike_count = 0;
    const float* current_at = currents + at;
    for (std::size_t t = 0; t < run.steps; ++t, current_at += step_stride) {
      const std::size_t row = t * batch + b;
      const float margin = neuron.step(state, *current_at);
      if (margins != nullptr) margins[row * neurons + i] = margin;
      if (margin >= 0.0F) {
        spike_count += 1.0F;
        indices[row * neurons + counts[row]++] = static_cast<std::uint32_t>(i);
      }
    }
    synapse[at] = state.synapse;
    potential[at] = state.potential;
    adapted[at] = state.adaptation;
    mean_output[at] = spike_count * per_step;
  }
}

template <class Tag, class V = hn::Vec<Tag>>
V surrogate_derivative(Tag tag, Surrogate surrogate, float slope, V margin) {
  const auto one = hn::Set(tag, 1.0F);
  const auto x = hn::Abs(hn::Mul(hn::Set(tag, slope), margin));
  switch (surrogate) {
    case Surrogate::sigmoid: {
      const auto e = hn::Exp(tag, hn::Neg(x));
      const auto sum = hn::Add(one, e);
      return hn::Div(hn::Mul(hn::Set(tag, slope), e), hn::Mul(sum, sum));
    }
    case Surrogate::arctan: {
      const auto y = hn::Mul(hn::Set(tag, std::numbers::pi_v<float> / 2.0F), x);
      return hn::Div(hn::Set(tag, slope / 2.0F), hn::MulAdd(y, y, one));
    }
    case Surrogate::fast_sigmoid: {
      const auto sum = hn::Add(one, x);
      return hn::Div(one, hn::Mul(sum, sum));
    }
    case Surrogate::triangle:
      break;
  }
  return hn::Mul(hn::Set(tag, slope), hn::Max(hn::Zero(tag), hn::Sub(one, x)));
}

/// Elements [first, last) of each step, in vectors; the last vector may be shorter than the tag's.
template <class Tag>
void lif_backward_vector(Tag tag, const LifBackward& run, std::size_t at) {
  const auto zero = hn::Zero(tag);
  const Lif& neuron = run.neuron;
  const LifDerivative& derivative = run.derivative;
  const auto decay = hn::Set(tag, derivative.through_time ? neuron.decay : 0.0F);
  const auto synapse_decay = hn::Set(tag, derivative.through_time ? neuron.synapse_decay : 0.0F);
  const auto adaptation = hn::Set(tag, neuron.adaptation);
  const auto adaptation_decay = hn::Set(tag, neuron.adaptation_decay);
  const auto threshold = hn::Set(tag, neuron.threshold);
  const std::size_t size = run.step_size(), error_stride = run.step_stride();
  auto later_v = zero, later_c = zero, later_a = zero;
  if (!run.later.potential.empty()) {
    later_v = hn::LoadU(tag, run.later.potential.address() + at);
    later_c = hn::LoadU(tag, run.later.synapse.address() + at);
    later_a = hn::LoadU(tag, run.later.adaptation.address() + at);
  }
  for (std::size_t t = run.steps; t-- > 0;) {
    const auto margin = hn::LoadU(tag, run.margin.address() + t * size + at);
    const auto through_v = hn::Mul(decay, later_v);
    auto g_s = hn::Add(hn::LoadU(tag, run.output_error.address() + t * error_stride + at), later_a);
    if (!derivative.detached_reset) {
      const auto taken = neuron.hard_reset ? hn::Add(margin, threshold) : threshold;
      g_s = hn::NegMulAdd(taken, through_v, g_s);
    }
    const auto g_m = hn::Mul(surrogate_derivative(tag, derivative.surrogate, derivative.slope, margin), g_s);
    later_v =
        hn::Add(g_m, neuron.hard_reset ? hn::IfThenZeroElse(hn::Ge(margin, zero), through_v) : through_v);
    later_a = hn::NegMulAdd(adaptation, g_m, hn::Mul(adaptation_decay, later_a));
    later_c = hn::MulAdd(synapse_decay, later_c, later_v);
    hn::StoreU(later_c, tag, run.current_error.address() + t * size + at);
  }
  if (run.later.potential.empty()) return;
  hn::StoreU(later_v, tag, run.later.potential.address() + at);
  hn::StoreU(later_c, tag, run.later.synapse.address() + at);
  hn::StoreU(later_a, tag, run.later.adaptation.address() + at);
}

void lif_backward_range(const LifBackward& run, std::size_t first, std::size_t last) {
  const hn::ScalableTag<float> tag;
  const std::size_t lanes = hn::Lanes(tag);
  std::size_t at = first;
  for (; at + lanes <= last; at += lanes) lif_backward_vector(tag, run, at);
  for (; at < last; ++at) lif_backward_vector(hn::CappedTag<float, 1>(), run, at);
}

}  // namespace orthospike::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthospike {

namespace {
HWY_EXPORT(lif_sample);
HWY_EXPORT(lif_backward_range);
}  // namespace

void execute(CpuBackend& cpu, const RunLif& op) {
  for_each_range(cpu.pool(), op.batch(), samples_per_piece(op.neurons() * op.steps),
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t b = first; b < last; ++b) HWY_DYNAMIC_DISPATCH(lif_sample)(op, b);
                 });
}

void execute(CpuBackend& cpu, const LifBackward& op) {
  for_each_range(cpu.pool(), op.step_size(), elements_per_piece(op.steps),
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   HWY_DYNAMIC_DISPATCH(lif_backward_range)(op, first, last);
                 });
}

template std::shared_ptr<LifNeurons> make_family(CpuBackend&, double&);

}  // namespace orthospike
#endif
