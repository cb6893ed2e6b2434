#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/lif.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first: this file is compiled once for each instruction set.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <numbers>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"

#ifndef ORTHOSPIKE_KERNELS_CPU_LIF
#define ORTHOSPIKE_KERNELS_CPU_LIF
namespace orthospike {

/// Arguments of Backend::lif in host terms.
struct LifRun {
  Lif neuron;
  std::size_t steps;
  bool from_rest;
  std::size_t batch;
  std::size_t neurons;
  std::size_t step_stride;  ///< elements from one step's currents to the next: 0 when they are the same
  const float* currents;
  LifState state;
  LifOutputs outputs;
};

/// Arguments of Backend::lif_backward in host terms.
struct LifBackwardRun {
  Lif neuron;
  LifDerivative derivative;
  std::size_t steps;
  std::size_t size;          ///< batch · neurons
  std::size_t error_stride;  ///< elements from one step's errors to the next: 0 when they are the same
  const float* margin;
  const float* output_error;
  LifState later;  ///< empty where nothing follows
  float* current_error;
};

}  // namespace orthospike
#endif

HWY_BEFORE_NAMESPACE();
namespace orthospike::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// All steps of sample b, as lif_dsr_sample does them.
void lif_sample(const LifRun& run, std::size_t b) {
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

  std::uint32_t* const counts = run.outputs.spikes.counts.address();
  std::uint32_t* const indices = run.outputs.spikes.indices.address();
  float* const margins = run.outputs.margin.empty() ? nullptr : run.outputs.margin.address();
  for (std::size_t t = 0; t < run.steps; ++t) counts[t * run.batch + b] = 0;

  std::size_t i = 0;
  for (; i + lanes <= run.neurons; i += lanes) {
    const std::size_t at = b * run.neurons + i;
    auto c = zero, v = zero, a = zero, spike_count = zero;
    if (!run.from_rest) {
      c = hn::LoadU(tag, run.state.synapse.address() + at);
      v = hn::LoadU(tag, run.state.potential.address() + at);
      a = hn::LoadU(tag, run.state.adaptation.address() + at);
    }
    const auto index = hn::Iota(index_tag, static_cast<std::uint32_t>(i));
    const float* current_at = run.currents + at;
    for (std::size_t t = 0; t < run.steps; ++t, current_at += run.step_stride) {
      const std::size_t row = t * run.batch + b;
      c = hn::MulAdd(synapse_decay, c, hn::LoadU(tag, current_at));
      v = hn::MulAdd(decay, v, c);
      const auto margin = hn::NegMulAdd(adaptation, a, hn::Sub(v, threshold));
      const auto fired = hn::Ge(margin, zero);
      const auto spike = hn::IfThenElseZero(fired, one);
      v = hn::IfThenElse(fired, neuron.hard_reset ? zero : hn::Sub(v, threshold), v);
      a = hn::MulAdd(adaptation_decay, a, spike);
      spike_count = hn::Add(spike_count, spike);
      if (margins != nullptr) hn::StoreU(margin, tag, margins + row * run.neurons + i);
      if (!hn::AllFalse(tag, fired)) {
        // The whole vector stays inside the row: at most i events precede.
        const auto packed = hn::Compress(index, hn::RebindMask(index_tag, fired));
        hn::StoreU(packed, index_tag, indices + row * run.neurons + counts[row]);
        counts[row] += static_cast<std::uint32_t>(hn::CountTrue(tag, fired));
      }
    }
    hn::StoreU(c, tag, run.state.synapse.address() + at);
    hn::StoreU(v, tag, run.state.potential.address() + at);
    hn::StoreU(a, tag, run.state.adaptation.address() + at);
    hn::StoreU(hn::Mul(spike_count, hn::Set(tag, per_step)), tag, run.outputs.mean_output.address() + at);
  }

  for (; i < run.neurons; ++i) {
    const std::size_t at = b * run.neurons + i;
    Lif::State state;
    if (!run.from_rest) {
      state = {.synapse = run.state.synapse.address()[at],
               .potential = run.state.potential.address()[at],
               .adaptation = run.state.adaptation.address()[at]};
    }
    float spike_count = 0;
    const float* current_at = run.currents + at;
    for (std::size_t t = 0; t < run.steps; ++t, current_at += run.step_stride) {
      const std::size_t row = t * run.batch + b;
      const float margin = neuron.step(state, *current_at);
      if (margins != nullptr) margins[row * run.neurons + i] = margin;
      if (margin >= 0.0F) {
        spike_count += 1.0F;
        indices[row * run.neurons + counts[row]++] = static_cast<std::uint32_t>(i);
      }
    }
    run.state.synapse.address()[at] = state.synapse;
    run.state.potential.address()[at] = state.potential;
    run.state.adaptation.address()[at] = state.adaptation;
    run.outputs.mean_output.address()[at] = spike_count * per_step;
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
void lif_backward_vector(Tag tag, const LifBackwardRun& run, std::size_t at) {
  const auto zero = hn::Zero(tag);
  const Lif& neuron = run.neuron;
  const LifDerivative& derivative = run.derivative;
  const auto decay = hn::Set(tag, derivative.through_time ? neuron.decay : 0.0F);
  const auto synapse_decay = hn::Set(tag, derivative.through_time ? neuron.synapse_decay : 0.0F);
  const auto adaptation = hn::Set(tag, neuron.adaptation);
  const auto adaptation_decay = hn::Set(tag, neuron.adaptation_decay);
  const auto threshold = hn::Set(tag, neuron.threshold);
  auto later_v = zero, later_c = zero, later_a = zero;
  if (!run.later.potential.empty()) {
    later_v = hn::LoadU(tag, run.later.potential.address() + at);
    later_c = hn::LoadU(tag, run.later.synapse.address() + at);
    later_a = hn::LoadU(tag, run.later.adaptation.address() + at);
  }
  for (std::size_t t = run.steps; t-- > 0;) {
    const auto margin = hn::LoadU(tag, run.margin + t * run.size + at);
    const auto through_v = hn::Mul(decay, later_v);
    auto g_s = hn::Add(hn::LoadU(tag, run.output_error + t * run.error_stride + at), later_a);
    if (!derivative.detached_reset) {
      const auto taken = neuron.hard_reset ? hn::Add(margin, threshold) : threshold;
      g_s = hn::NegMulAdd(taken, through_v, g_s);
    }
    const auto g_m = hn::Mul(surrogate_derivative(tag, derivative.surrogate, derivative.slope, margin), g_s);
    later_v =
        hn::Add(g_m, neuron.hard_reset ? hn::IfThenZeroElse(hn::Ge(margin, zero), through_v) : through_v);
    later_a = hn::NegMulAdd(adaptation, g_m, hn::Mul(adaptation_decay, later_a));
    later_c = hn::MulAdd(synapse_decay, later_c, later_v);
    hn::StoreU(later_c, tag, run.current_error + t * run.size + at);
  }
  if (run.later.potential.empty()) return;
  hn::StoreU(later_v, tag, run.later.potential.address() + at);
  hn::StoreU(later_c, tag, run.later.synapse.address() + at);
  hn::StoreU(later_a, tag, run.later.adaptation.address() + at);
}

void lif_backward_range(const LifBackwardRun& run, std::size_t first, std::size_t last) {
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

void CpuBackend::do_lif(const Lif& neuron, std::size_t steps, bool from_rest, ConstMatrix currents,
                        const LifState& state, const LifOutputs& outputs) {
  const std::size_t batch = state.potential.rows;
  const std::size_t neurons = state.potential.cols;
  const LifRun run{.neuron = neuron,
                   .steps = steps,
                   .from_rest = from_rest,
                   .batch = batch,
                   .neurons = neurons,
                   .step_stride = currents.rows == batch ? 0 : batch * neurons,
                   .currents = currents.address(),
                   .state = state,
                   .outputs = outputs};
  for_each_range(pool_, batch, samples_per_piece(neurons * steps),
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t b = first; b < last; ++b) HWY_DYNAMIC_DISPATCH(lif_sample)(run, b);
                 });
}

void CpuBackend::do_lif_backward(const Lif& neuron, const LifDerivative& derivative, std::size_t steps,
                                 ConstMatrix margin, ConstMatrix output_error, const LifState& later,
                                 Matrix current_error) {
  const std::size_t size = margin.values.size() / steps;
  const LifBackwardRun run{.neuron = neuron,
                           .derivative = derivative,
                           .steps = steps,
                           .size = size,
                           .error_stride = output_error.rows < margin.rows ? 0 : size,
                           .margin = margin.address(),
                           .output_error = output_error.address(),
                           .later = later,
                           .current_error = current_error.address()};
  for_each_range(pool_, size, elements_per_piece(steps),
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   HWY_DYNAMIC_DISPATCH(lif_backward_range)(run, first, last);
                 });
}

}  // namespace orthospike
#endif
