#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/lif_dsr.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first: this file is compiled once for each instruction set.
#include <hwy/highway.h>

#include <numeric>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/host_view.hpp"
#include "kernels/lif_dsr.hpp"

HWY_BEFORE_NAMESPACE();
namespace orthospike::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// All steps of sample b. Neurons go in blocks of one vector whose state stays in registers over all steps;
/// the event lists of all steps grow side by side.
void lif_dsr_sample(const RunLifDsr& run, std::size_t b) {
  const hn::ScalableTag<float> tag;
  const hn::RebindToUnsigned<decltype(tag)> index_tag;
  const std::size_t lanes = hn::Lanes(tag);

  const float threshold = *run.threshold.address();
  const float firing_from = run.neuron.firing_fraction * threshold;
  const float height = threshold / run.neuron.dt;
  const auto inverse_weights = static_cast<float>(1.0 / run.weight_sum());
  const auto decay = hn::Set(tag, run.neuron.decay);
  const auto gain = hn::Set(tag, 1.0F - run.neuron.decay);
  const auto firing = hn::Set(tag, firing_from);
  const auto reset = hn::Set(tag, threshold);
  const auto one = hn::Set(tag, 1.0F);
  const float mean_scale = height / static_cast<float>(run.steps);

  const std::size_t batch = run.batch(), neurons = run.neurons(), step_stride = run.step_stride();
  const float* const currents = run.currents.address();
  float* const membrane = run.outputs.membrane.address();
  float* const average_current = run.outputs.average_current.address();
  float* const average_output = run.outputs.average_output.address();
  float* const mean_output = run.outputs.mean_output.address();
  std::uint32_t* const counts = run.outputs.spikes.counts.address();
  std::uint32_t* const indices = run.outputs.spikes.indices.address();
  for (std::size_t t = 0; t < run.steps; ++t) counts[t * batch + b] = 0;

  std::size_t i = 0;
  for (; i + lanes <= neurons; i += lanes) {
    auto u = hn::Zero(tag), current_sum = u, spike_sum = u, spike_count = u;
    const auto index = hn::Iota(index_tag, static_cast<std::uint32_t>(i));
    const float* current_at = currents + b * neurons + i;
    for (std::size_t t = 0; t < run.steps; ++t, current_at += step_stride) {
      const auto current = hn::LoadU(tag, current_at);
      u = hn::MulAdd(decay, u, hn::Mul(gain, current));
      current_sum = hn::MulAdd(decay, current_sum, current);
      const auto fired = hn::Ge(u, firing);
      const auto spike = hn::IfThenElseZero(fired, one);
      u = hn::Sub(u, hn::IfThenElseZero(fired, reset));
      spike_sum = hn::MulAdd(decay, spike_sum, spike);
      spike_count = hn::Add(spike_count, spike);
      if (!hn::AllFalse(tag, fired)) {
        const std::size_t row = t * batch + b;
        // Compressing in a register and storing the whole vector stays inside the row: at most i events
        // precede.
        const auto packed = hn::Compress(index, hn::RebindMask(index_tag, fired));
        hn::StoreU(packed, index_tag, indices + row * neurons + counts[row]);
        counts[row] += static_cast<std::uint32_t>(hn::CountTrue(tag, fired));
      }
    }
    const std::size_t at = b * neurons + i;
    hn::StoreU(u, tag, membrane + at);
    hn::StoreU(hn::Mul(current_sum, hn::Set(tag, inverse_weights)), tag, average_current + at);
    hn::StoreU(hn::Mul(spike_sum, hn::Set(tag, height * inverse_weights)), tag, average_output + at);
    hn::StoreU(hn::Mul(spike_count, hn::Set(tag, mean_scale)), tag, mean_output + at);
  }

  for (; i < neurons; ++i) {
    float u = 0, current_sum = 0, spike_sum = 0, spike_count = 0;
    const float* current_at = currents + b * neurons + i;
    for (std::size_t t = 0; t < run.steps; ++t, current_at += step_stride) {
      u = run.neuron.step(u, *current_at);
      current_sum = run.neuron.decay * current_sum + *current_at;
      spike_sum *= run.neuron.decay;
      if (u >= firing_from) {
        u -= threshold;
        spike_sum += 1.0F;
        spike_count += 1.0F;
        const std::size_t row = t * batch + b;
        indices[row * neurons + counts[row]++] = static_cast<std::uint32_t>(i);
      }
    }
    const std::size_t at = b * neurons + i;
    membrane[at] = u;
    average_current[at] = current_sum * inverse_weights;
    average_output[at] = spike_sum * height * inverse_weights;
    mean_output[at] = spike_count * mean_scale;
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

void execute(CpuBackend& cpu, const RunLifDsr& op) {
  for_each_range(cpu.pool(), op.batch(), samples_per_piece(op.neurons() * op.steps),
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t b = first; b < last; ++b) HWY_DYNAMIC_DISPATCH(lif_dsr_sample)(op, b);
                 });
}

void execute(CpuBackend& cpu, const LifDsrBackward& op) {
  const auto average_current = host(op.average_current.values);
  const auto gradient = host(op.gradient.values);
  const float saturation = host(op.threshold)[0] * op.neuron.tau / op.neuron.dt;
  const float factor = op.scale / op.neuron.tau;
  std::vector<double> sums((gradient.size() + elementwise_piece - 1) / elementwise_piece);
  for_each_range(cpu.pool(), gradient.size(), elementwise_piece,
                 [&](std::size_t piece, std::size_t first, std::size_t last) {
                   sums[piece] = HWY_DYNAMIC_DISPATCH(mask_gradient)(&average_current[first], saturation,
                                                                     factor, &gradient[first], last - first);
                 });
  host(op.threshold_gradient)[0] =
      op.neuron.dt * op.scale * static_cast<float>(std::accumulate(sums.begin(), sums.end(), 0.0));
}

template std::shared_ptr<LifDsrNeurons> make_family(CpuBackend&, double&);

}  // namespace orthospike
#endif
