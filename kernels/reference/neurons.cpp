#include "kernels/neurons.hpp"

#include "kernels/host_view.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

namespace {

/// call(state…) with references to the elements of an array.
template <class Call, class V, std::size_t size>
auto with_elements(std::array<V, size>& state, const Call& call) {
  return std::apply([&](auto&... field) { return call(field...); }, state);
}

/// Element `at` of each matrix, or 0 where they are empty.
template <class V, std::size_t size>
std::array<V, size> elements(const std::array<Matrix, size>& matrices, std::size_t at) {
  std::array<V, size> values{};
  for (std::size_t k = 0; k < size; ++k) {
    if (!matrices[k].empty()) values[k] = host(matrices[k].values)[at];
  }
  return values;
}

template <class V, std::size_t size>
void store(const std::array<V, size>& values, const std::array<Matrix, size>& matrices, std::size_t at) {
  for (std::size_t k = 0; k < size; ++k) host(matrices[k].values)[at] = static_cast<float>(values[k]);
}

}  // namespace

template <class Model>
void execute(ReferenceBackend&, const RunNeurons<Model>& op) {
  const NeuronOutputs& to = op.outputs;
  const Model neuron = loaded(op.neuron, op.trained.address());
  const auto currents = host(op.currents);
  const auto height = neuron.template height<double>();
  std::ranges::fill(host(to.spikes.counts), 0U);
  for (std::size_t b = 0; b < op.batch(); ++b) {
    for (std::size_t i = 0; i < op.neurons(); ++i) {
      const std::size_t at = b * op.neurons() + i;
      std::array<float, state_size<Model>> state{};
      if (!op.from_rest) state = elements<float>(op.state, at);
      double current_sum = 0, spike_sum = 0;
      std::size_t spike_count = 0;
      for (std::size_t t = 0; t < op.steps; ++t) {
        const std::size_t row = t * op.batch() + b;
        const float current = currents(currents.rows == op.batch() ? b : row, i);
        float margin = 0;
        const bool fires = with_elements(state, [&](auto&... field) {
          return neuron.step(ScalarOps<float>(), current, margin, field...);
        });
        if (!to.margin.empty()) host(to.margin)(row, i) = margin;
        if (op.keeps_states()) store(state, op.each_state, row * op.neurons() + i);
        if (fires) {
          ++spike_count;
          append_spike(to.spikes, row, i);
        }
        if constexpr (HasAverages<Model>) {
          current_sum = neuron.averaging_decay() * current_sum + current;
          spike_sum = neuron.averaging_decay() * spike_sum + (fires ? 1.0 : 0.0);
        }
      }
      store(state, op.state, at);
      host(to.mean_output)(b, i) =
          static_cast<float>(height * static_cast<double>(spike_count) / static_cast<double>(op.steps));
      if constexpr (HasAverages<Model>) {
        const double weight_sum = op.weight_sum();
        host(to.average_current)(b, i) = static_cast<float>(current_sum / weight_sum);
        host(to.average_output)(b, i) = static_cast<float>(height * spike_sum / weight_sum);
      }
    }
  }
}

template <class Model>
void execute(ReferenceBackend&, const NeuronsBackward<Model>& op) {
  const auto margin = host(op.margin.values), output_error = host(op.output_error.values);
  for (std::size_t i = 0; i < op.step_size(); ++i) {
    auto later = elements<double>(op.later, i);
    for (std::size_t t = op.steps; t-- > 0;) {
      const double m = margin[t * op.step_size() + i], error = output_error[t * op.step_stride() + i];
      const double by_current = with_elements(later, [&](auto&... field) {
        return op.neuron.backward(ScalarOps<double>(), op.derivative, m, error, field...);
      });
      host(op.current_error).values[t * op.step_size() + i] = static_cast<float>(by_current);
    }
    if (op.has_later()) store(later, op.later, i);
  }
}

template <class Model>
void execute(ReferenceBackend&, const AveragesBackward<Model>& op) {
  const Model neuron = loaded(op.neuron, op.trained.address());
  const ScalarOps<float> ops;
  const auto average_current = host(op.average_current.values);
  const auto gradient = host(op.gradient.values);
  double sum = 0;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    sum += neuron.by_trained(ops, average_current[i], gradient[i]);
    gradient[i] = neuron.by_average_current(ops, op.scale, average_current[i], gradient[i]);
  }
  host(op.trained_gradient)[0] = neuron.trained_scale() * op.scale * static_cast<float>(sum);
}

template std::shared_ptr<NeuronSteps> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
