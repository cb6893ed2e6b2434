#include "kernels/lif.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/host_view.hpp"
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

void execute(ReferenceBackend&, const RunLif& op) {
  const auto currents = host(op.currents);
  const auto synapse = host(op.state.synapse), potential = host(op.state.potential),
             adaptation = host(op.state.adaptation);
  const Spikes& spikes = op.outputs.spikes;
  std::ranges::fill(host(spikes.counts), 0U);
  for (std::size_t b = 0; b < op.batch(); ++b) {
    for (std::size_t i = 0; i < op.neurons(); ++i) {
      Lif::State s;
      if (!op.from_rest) s = {synapse(b, i), potential(b, i), adaptation(b, i)};
      std::size_t spike_count = 0;
      for (std::size_t t = 0; t < op.steps; ++t) {
        const std::size_t row = t * op.batch() + b;
        const float margin = op.neuron.step(s, currents(currents.rows == op.batch() ? b : row, i));
        if (!op.outputs.margin.empty()) host(op.outputs.margin)(row, i) = margin;
        if (margin >= 0.0F) {
          ++spike_count;
          append_spike(spikes, row, i);
        }
      }
      synapse(b, i) = s.synapse;
      potential(b, i) = s.potential;
      adaptation(b, i) = s.adaptation;
      host(op.outputs.mean_output)(b, i) =
          static_cast<float>(static_cast<double>(spike_count) / static_cast<double>(op.steps));
    }
  }
}

void execute(ReferenceBackend&, const LifBackward& op) {
  const Lif& neuron = op.neuron;
  const bool through_time = op.derivative.through_time;
  const bool has_later = !op.later.potential.empty();
  const auto margin = host(op.margin.values), output_error = host(op.output_error.values);
  const auto later_v = host(op.later.potential.values), later_c = host(op.later.synapse.values),
             later_a = host(op.later.adaptation.values);
  for (std::size_t i = 0; i < op.step_size(); ++i) {
    double g_v = has_later ? later_v[i] : 0, g_c = has_later ? later_c[i] : 0,
           g_a = has_later ? later_a[i] : 0;
    for (std::size_t t = op.steps; t-- > 0;) {
      const double m = margin[t * op.step_size() + i];
      const double through_v = through_time ? neuron.decay * g_v : 0.0;
      double g_s = output_error[t * op.step_stride() + i] + g_a;
      if (!op.derivative.detached_reset)
        g_s -= (neuron.hard_reset ? m + neuron.threshold : neuron.threshold) * through_v;
      const double g_m = surrogate_derivative(op.derivative.surrogate, op.derivative.slope, m) * g_s;
      g_v = g_m + (neuron.hard_reset && m >= 0 ? 0.0 : through_v);
      g_a = neuron.adaptation_decay * g_a - neuron.adaptation * g_m;
      g_c = g_v + (through_time ? neuron.synapse_decay * g_c : 0.0);
      host(op.current_error).values[t * op.step_size() + i] = static_cast<float>(g_c);
    }
    if (!has_later) continue;
    later_v[i] = static_cast<float>(g_v);
    later_c[i] = static_cast<float>(g_c);
    later_a[i] = static_cast<float>(g_a);
  }
}

template std::shared_ptr<LifNeurons> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
