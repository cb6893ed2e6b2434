#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/lif_dsr.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first: this file is compiled once for each instruction set.
#include <hwy/highway.h>

#include <numeric>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"

#ifndef ORTHOSPIKE_KERNELS_CPU_LIF_DSR
#define ORTHOSPIKE_KERNELS_CPU_LIF_DSR
namespace orthospike {

/// Arguments of Backend::lif_dsr in host terms.
struct LifDsrRun {
  LifDsr neuron;
  float reset;            ///< threshold
  float firing;           ///< potential at which a spike starts
  float height;           ///< of a spike
  float inverse_weights;  ///< 1 / Σ of the averaging weights
  std::size_t steps;
  std::size_t batch;
  std::size_t neurons;
  std::size_t step_stride;  ///< elements from one step's currents to the next: 0 when they are the same
  const float* currents;
  LifDsrOutputs outputs;
};

}  // namespace orthospike
#endif

HWY_BEFORE_NAMESPACE();
namespace orthospike::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// All steps of sample b. Neurons go in blocks of one vector whose state stays in registers over all steps;
/// the event lists of all steps grow side by side.
void lif_dsr_sample(const LifDsrRun& run, std::size_t b) {
  const hn::ScalableTag<float> tag;
  const hn::RebindToUnsigned<decltype(tag)> index_tag;
  const std::size_t lanes = hn::Lanes(tag);

  const auto decay = hn::Set(tag, run.neuron.decay);
  const auto gain = hn::Set(tag, 1.0F - run.neuron.decay);
  const auto firing = hn::Set(tag, run.firing);
  const auto reset = hn::Set(tag, run.reset);
  const auto one = hn::Set(tag, 1.0F);
  const float mean_scale = run.height / static_cast<float>(run.steps);

  std::uint32_t* const counts = run.outputs.spikes.counts.address();
  std::uint32_t* const indices = run.outputs.spikes.indices.address();
  for (std::size_t t = 0; t < run.steps; ++t) counts[t * run.batch + b] = 0;

  std::size_t i = 0;
  for (; i + lanes <= run.neurons; i += lanes) {
    auto u = hn::Zero(tag), current_sum = u, spike_sum = u, spike_count = u;
    const auto index = hn::Iota(index_tag, static_cast<std::uint32_t>(i));
    const float* current_at = run.currents + b * run.neurons + i;
    for (std::size_t t = 0; t < run.steps; ++t, current_at += run.step_stride) {
      const auto current = hn::LoadU(tag, current_at);
      u = hn::MulAdd(decay, u, hn::Mul(gain, current));
      current_sum = hn::MulAdd(decay, current_sum, current);
      const auto fired = hn::Ge(u, firing);
      const auto spike = hn::IfThenElseZero(fired, one);
      u = hn::Sub(u, hn::IfThenElseZero(fired, reset));
      spike_sum = hn::MulAdd(decay, spike_sum, spike);
      spike_count = hn::Add(spike_count, spike);
      if (!hn::AllFalse(tag, fired)) {
        const std::size_t row = t * run.batch + b;
        // Compressing in a register and storing the whole vector stays inside the row: at most i events
        // precede.
        const auto packed = hn::Compress(index, hn::RebindMask(index_tag, fired));
        hn::StoreU(packed, index_tag, indices + row * run.neurons + counts[row]);
        counts[row] += static_cast<std::uint32_t>(hn::CountTrue(tag, fired));
      }
    }
    const std::size_t at = b * run.neurons + i;
    hn::StoreU(u, tag, run.outputs.membrane.address() + at);
    hn::StoreU(hn::Mul(current_sum, hn::Set(tag, run.inverse_weights)), tag,
               run.outputs.average_current.address() + at);
    hn::StoreU(hn::Mul(spike_sum, hn::Set(tag, run.height * run.inverse_weights)), tag,
               run.outputs.average_output.address() + at);
    hn::StoreU(hn::Mul(spike_count, hn::Set(tag, mean_scale)), tag, run.outputs.mean_output.address() + at);
  }

  for (; i < run.neurons; ++i) {
    float u = 0, current_sum = 0, spike_sum = 0, spike_count = 0;
    const float* current_at = run.currents + b * run.neurons + i;
    for (std::size_t t = 0; t < run.steps; ++t, current_at += run.step_stride) {
      u = run.neuron.step(u, *current_at);
      current_sum = run.neuron.decay * current_sum + *current_at;
      spike_sum *= run.neuron.decay;
      if (u >= run.firing) {
        u -= run.reset;
        spike_sum += 1.0F;
        spike_count += 1.0F;
        const std::size_t row = t * run.batch + b;
        indices[row * run.neurons + counts[row]++] = static_cast<std::uint32_t>(i);
      }
    }
    const std::size_t at = b * run.neurons + i;
    run.outputs.membrane.address()[at] = u;
    run.outputs.average_current.address()[at] = current_sum * run.inverse_weights;
    run.outputs.average_output.address()[at] = spike_sum * run.height * run.inverse_weights;
    run.outputs.mean_output.address()[at] = spike_count * mean_scale;
  }
}

/// gradient ← factor · gradient where 0 < current < saturation, else 0, over `size` elements. Returns the sum of the
/// gradients that came in where current > saturation.
float mask_gradient(const float* current, float saturation, float factor, float* gradient, std::size_t size) {
  const hn::ScalableTag<float> tag;
  const std::size_t lanes = hn::Lanes(tag);
  const auto zero = hn::Zero(tag);
  const auto highest = hn::Set(tag, saturation);
  const auto scale = hn::Set(tag, factor);
  auto saturated = zero;
  std::size_t i = 0;
  for (; i + lanes <= size; i += lanes) {
    const auto average = hn::LoadU(tag, current + i);
    const auto g = hn::LoadU(tag, gradient + i);
    saturated = hn::Add(saturated, hn::IfThenElseZero(hn::Gt(average, highest), g));
    const auto passes = hn::And(hn::Gt(average, zero), hn::Lt(average, highest));
    hn::StoreU(hn::IfThenElseZero(passes, hn::Mul(scale, g)), tag, gradient + i);
  }
  float sum = hn::GetLane(hn::SumOfLanes(tag, saturated));
  for (; i < size; ++i) {
    if (current[i] > saturation) sum += gradient[i];
    gradient[i] = current[i] > 0.0F && current[i] < saturation ? factor * gradient[i] : 0.0F;
  }
  return sum;
}

}  // namespace orthospike::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthospike {

namespace {
HWY_EXPORT(lif_dsr_sample);
HWY_EXPORT(mask_gradient);
}  // namespace

void CpuBackend::do_lif_dsr(const LifDsr& neuron, View<const float> threshold, std::size_t steps,
                            ConstMatrix currents, const LifDsrOutputs& outputs) {
  double weights = 0;
  for (std::size_t t = 0; t < steps; ++t) weights = neuron.decay * weights + 1.0;
  const std::size_t batch = outputs.membrane.rows;
  const std::size_t neurons = outputs.membrane.cols;
  const float reset = threshold.address()[0];
  const LifDsrRun run{.neuron = neuron,
                      .reset = reset,
                      .firing = neuron.firing_fraction * reset,
                      .height = reset / neuron.dt,
                      .inverse_weights = static_cast<float>(1.0 / weights),
                      .steps = steps,
                      .batch = batch,
                      .neurons = neurons,
                      .step_stride = currents.rows == batch ? 0 : batch * neurons,
                      .currents = currents.address(),
                      .outputs = outputs};
  for_each_range(pool_, batch, samples_per_piece(neurons * steps),
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t b = first; b < last; ++b) HWY_DYNAMIC_DISPATCH(lif_dsr_sample)(run, b);
                 });
}

void CpuBackend::do_lif_dsr_backward(const LifDsr& neuron, View<const float> threshold, float scale,
                                     ConstMatrix average_current, Matrix gradient,
                                     View<float> threshold_gradient) {
  const float saturation = threshold.address()[0] * neuron.tau / neuron.dt;
  const float factor = scale / neuron.tau;
  const std::size_t size = gradient.values.size();
  std::vector<double> sums((size + elementwise_piece - 1) / elementwise_piece);
  for_each_range(pool_, size, elementwise_piece, [&](std::size_t piece, std::size_t first, std::size_t last) {
    sums[piece] = HWY_DYNAMIC_DISPATCH(mask_gradient)(average_current.address() + first, saturation, factor,
                                                      gradient.address() + first, last - first);
  });
  threshold_gradient.address()[0] =
      neuron.dt * scale * static_cast<float>(std::accumulate(sums.begin(), sums.end(), 0.0));
}

void CpuBackend::do_count_spikes(View<const std::uint32_t> counts, View<std::uint64_t> total) {
  total.address()[0] =
      std::accumulate(counts.address(), counts.address() + counts.size(), total.address()[0]);
}

}  // namespace orthospike
#endif
