#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void ReferenceBackend::do_lif_dsr(const LifDsr& neuron, View<const float> threshold, std::size_t steps,
                                  ConstMatrix currents, const LifDsrOutputs& outputs) {
  const std::size_t batch = outputs.membrane.rows;
  const std::size_t neurons = outputs.membrane.cols;
  const bool constant = currents.rows == batch;
  const float reset = threshold.address()[0];
  const float firing = neuron.firing_fraction * reset;
  const double height = static_cast<double>(reset) / neuron.dt;

  double weight_sum = 0;
  for (std::size_t t = 0; t < steps; ++t) weight_sum = neuron.decay * weight_sum + 1.0;
  for (std::size_t row = 0; row < outputs.spikes.rows; ++row) outputs.spikes.counts.address()[row] = 0;

  for (std::size_t b = 0; b < batch; ++b) {
    for (std::size_t i = 0; i < neurons; ++i) {
      float u = 0;
      double current_sum = 0;
      double spike_sum = 0;
      std::size_t spike_count = 0;
      for (std::size_t t = 0; t < steps; ++t) {
        const float current = currents.address()[(constant ? b : t * batch + b) * neurons + i];
        u = neuron.step(u, current);
        current_sum = neuron.decay * current_sum + current;
        spike_sum *= neuron.decay;
        if (u >= firing) {
          u -= reset;
          spike_sum += 1.0;
          ++spike_count;
          const std::size_t row = t * batch + b;
          outputs.spikes.indices.address()[row * neurons + outputs.spikes.counts.address()[row]++] =
              static_cast<std::uint32_t>(i);
        }
      }
      const std::size_t at = b * neurons + i;
      outputs.membrane.address()[at] = u;
      outputs.average_current.address()[at] = static_cast<float>(current_sum / weight_sum);
      outputs.average_output.address()[at] = static_cast<float>(height * spike_sum / weight_sum);
      outputs.mean_output.address()[at] =
          static_cast<float>(height * static_cast<double>(spike_count) / static_cast<double>(steps));
    }
  }
}

void ReferenceBackend::do_lif_dsr_backward(const LifDsr& neuron, View<const float> threshold, float scale,
                                           ConstMatrix average_current, Matrix gradient,
                                           View<float> threshold_gradient) {
  const float saturation = threshold.address()[0] * neuron.tau / neuron.dt;
  double sum = 0;
  for (std::size_t i = 0; i < gradient.values.size(); ++i) {
    const float current = average_current.address()[i];
    const float g = scale * gradient.address()[i];
    if (current > saturation) sum += g;
    gradient.address()[i] = current > 0.0F && current < saturation ? g / neuron.tau : 0.0F;
  }
  threshold_gradient.address()[0] = static_cast<float>(neuron.dt * sum);
}

void ReferenceBackend::do_count_spikes(View<const std::uint32_t> counts, View<std::uint64_t> total) {
  for (std::size_t row = 0; row < counts.size(); ++row) total.address()[0] += counts.address()[row];
}

}  // namespace orthospike
