#include <cmath>
#include <numbers>

#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

namespace {

double surrogate_derivative(Surrogate surrogate, double slope, double margin) {
  const double x = slope * margin;
  switch (surrogate) {
    case Surrogate::sigmoid: {
      const double e = std::exp(-std::abs(x));
      return slope * e / ((1.0 + e) * (1.0 + e));
    }
    case Surrogate::arctan: {
      const double y = std::numbers::pi / 2.0 * x;
      return slope / 2.0 / (1.0 + y * y);
    }
    case Surrogate::fast_sigmoid:
      return 1.0 / ((1.0 + std::abs(x)) * (1.0 + std::abs(x)));
    case Surrogate::triangle:
      return slope * std::max(0.0, 1.0 - std::abs(x));
  }
  return 0;
}

}  // namespace

void ReferenceBackend::do_lif(const Lif& neuron, std::size_t steps, bool from_rest, ConstMatrix currents,
                              const LifState& state, const LifOutputs& outputs) {
  const std::size_t batch = state.potential.rows;
  const std::size_t neurons = state.potential.cols;
  const bool constant = currents.rows == batch;
  for (std::size_t row = 0; row < outputs.spikes.rows; ++row) outputs.spikes.counts.address()[row] = 0;

  for (std::size_t b = 0; b < batch; ++b) {
    for (std::size_t i = 0; i < neurons; ++i) {
      const std::size_t at = b * neurons + i;
      Lif::State s;
      if (!from_rest) {
        s = {.synapse = state.synapse.address()[at],
             .potential = state.potential.address()[at],
             .adaptation = state.adaptation.address()[at]};
      }
      std::size_t spikes = 0;
      for (std::size_t t = 0; t < steps; ++t) {
        const std::size_t row = t * batch + b;
        const float margin = neuron.step(s, currents.address()[(constant ? b : row) * neurons + i]);
        if (!outputs.margin.empty()) outputs.margin.address()[row * neurons + i] = margin;
        if (margin >= 0.0F) {
          ++spikes;
          outputs.spikes.indices.address()[row * neurons + outputs.spikes.counts.address()[row]++] =
              static_cast<std::uint32_t>(i);
        }
      }
      state.synapse.address()[at] = s.synapse;
      state.potential.address()[at] = s.potential;
      state.adaptation.address()[at] = s.adaptation;
      outputs.mean_output.address()[at] =
          static_cast<float>(static_cast<double>(spikes) / static_cast<double>(steps));
    }
  }
}

void ReferenceBackend::do_lif_backward(const Lif& neuron, const LifDerivative& derivative, std::size_t steps,
                                       ConstMatrix margin, ConstMatrix output_error, const LifState& later,
                                       Matrix current_error) {
  const std::size_t size = margin.values.size() / steps;
  const bool constant = output_error.rows < margin.rows;
  for (std::size_t at = 0; at < size; ++at) {
    double later_v = 0, later_c = 0, later_a = 0;
    if (!later.potential.empty()) {
      later_v = later.potential.address()[at];
      later_c = later.synapse.address()[at];
      later_a = later.adaptation.address()[at];
    }
    for (std::size_t t = steps; t-- > 0;) {
      const double m = margin.address()[t * size + at];
      const bool fired = m >= 0;
      const double through_v = derivative.through_time ? neuron.decay * later_v : 0.0;
      double g_s = output_error.address()[constant ? at : t * size + at] + later_a;
      if (!derivative.detached_reset)
        g_s -= (neuron.hard_reset ? m + neuron.threshold : neuron.threshold) * through_v;
      const double g_m = surrogate_derivative(derivative.surrogate, derivative.slope, m) * g_s;
      later_v = g_m + (neuron.hard_reset && fired ? 0.0 : through_v);
      later_a = neuron.adaptation_decay * later_a - neuron.adaptation * g_m;
      later_c = later_v + (derivative.through_time ? neuron.synapse_decay * later_c : 0.0);
      current_error.address()[t * size + at] = static_cast<float>(later_c);
    }
    if (later.potential.empty()) continue;
    later.potential.address()[at] = static_cast<float>(later_v);
    later.synapse.address()[at] = static_cast<float>(later_c);
    later.adaptation.address()[at] = static_cast<float>(later_a);
  }
}

}  // namespace orthospike
