#include "kernels/lif_dsr.hpp"

#include <algorithm>

#include "kernels/host_view.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void execute(ReferenceBackend&, const RunLifDsr& op) {
  const LifDsrOutputs& to = op.outputs;
  const auto currents = host(op.currents);
  const float reset = host(op.threshold)[0];
  const float firing = op.neuron.firing_fraction * reset;
  const double height = static_cast<double>(reset) / op.neuron.dt;
  const double weight_sum = op.weight_sum();
  std::ranges::fill(host(to.spikes.counts), 0U);
  for (std::size_t b = 0; b < op.batch(); ++b) {
    for (std::size_t i = 0; i < op.neurons(); ++i) {
      float u = 0;
      double current_sum = 0;
      double spike_sum = 0;
      std::size_t spike_count = 0;
      for (std::size_t t = 0; t < op.steps; ++t) {
        const std::size_t row = t * op.batch() + b;
        const float current = currents(currents.rows == op.batch() ? b : row, i);
        u = op.neuron.step(u, current);
        current_sum = op.neuron.decay * current_sum + current;
        spike_sum *= op.neuron.decay;
        if (u >= firing) {
          u -= reset;
          spike_sum += 1.0;
          ++spike_count;
          append_spike(to.spikes, row, i);
        }
      }
      host(to.membrane)(b, i) = u;
      host(to.average_current)(b, i) = static_cast<float>(current_sum / weight_sum);
      host(to.average_output)(b, i) = static_cast<float>(height * spike_sum / weight_sum);
      host(to.mean_output)(b, i) =
          static_cast<float>(height * static_cast<double>(spike_count) / static_cast<double>(op.steps));
    }
  }
}

void execute(ReferenceBackend&, const LifDsrBackward& op) {
  const auto average_current = host(op.average_current.values);
  const auto gradient = host(op.gradient.values);
  const float saturation = host(op.threshold)[0] * op.neuron.tau / op.neuron.dt;
  double sum = 0;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const float g = op.scale * gradient[i];
    if (average_current[i] > saturation) sum += g;
    gradient[i] = average_current[i] > 0.0F && average_current[i] < saturation ? g / op.neuron.tau : 0.0F;
  }
  host(op.threshold_gradient)[0] = static_cast<float>(op.neuron.dt * sum);
}

template std::shared_ptr<LifDsrNeurons> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
