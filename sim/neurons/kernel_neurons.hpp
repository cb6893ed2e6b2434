#pragma once

#include <algorithm>
#include <stdexcept>

#include "kernels/neurons.hpp"
#include "sim/neurons/neuron_model.hpp"

namespace orthospike {

/// For the settings of the model that Kernel computes.
template <class Kernel>
constexpr NeuronModel::Traits kernel_traits() {
  return {.has_weighted_averages = HasAverages<Kernel>,
          .has_surrogate_derivative = HasSurrogateDerivative<Kernel>};
}

/// The neuron model that a struct in kernels/neurons/ computes. A model derives from it and says what its settings
/// make of the constants.
template <class Kernel>
class KernelNeurons : public NeuronModel {
 public:
  const Kernel& constants() const { return constants_; }

  std::span<const char* const> state_fields() const override { return Kernel::state; }

  void run(Backend& backend, std::size_t first, std::size_t count, ConstMatrix currents,
           const Activity& activity) const override {
    if (HasAverages<Kernel> && (first != 0 || count != steps_))
      throw std::invalid_argument("neurons with weighted averages run all steps of a sample at once");
    RunNeurons<Kernel> operation{
        .neuron = constants_,
        .trained = trained(),
        .steps = count,
        .from_rest = first == 0,
        .currents = currents,
        .state = fields(activity.state),
        .each_state = activity.each_state.empty() ? NeuronState<Kernel>() : fields(activity.each_state),
        .outputs = {.spikes = activity.spikes,
                    .mean_output = activity.mean_output,
                    .margin = activity.margin,
                    .average_current = {},
                    .average_output = {}}};
    if constexpr (HasAverages<Kernel>) {
      operation.outputs.average_current = activity.average_current;
      operation.outputs.average_output = activity.average_output;
    }
    backend.neurons().run(operation);
  }

  /// That of the constants; a model whose constants are trained says its own.
  SpikeHeight spike_height() const override { return {height_.view(), 1.0F}; }

  std::optional<float> averaging_decay() const override {
    if constexpr (HasAverages<Kernel>) return constants_.averaging_decay();
    return {};
  }

  std::optional<SurrogateTraits> surrogate_traits() const override {
    if constexpr (HasSurrogateDerivative<Kernel>) return constants_.surrogate_traits();
    return {};
  }

  void backward(Backend& backend, const Backward& errors) const override {
    if constexpr (HasSurrogateDerivative<Kernel>) {
      backend.neurons().run(NeuronsBackward<Kernel>{
          .neuron = constants_,
          .derivative = errors.derivative,
          .steps = errors.steps,
          .margin = errors.margin,
          .output_error = errors.output_error,
          .later = errors.later.empty() ? NeuronState<Kernel>() : fields(errors.later),
          .current_error = errors.current_error});
    } else {
      NeuronModel::backward(backend, errors);
    }
  }

  void backward(Backend& backend, const NeuronModel::AveragesBackward& errors) const override {
    if constexpr (HasAverages<Kernel>) {
      backend.neurons().run(
          orthospike::AveragesBackward<Kernel>{.neuron = constants_,
                                               .trained = trained(),
                                               .scale = errors.scale,
                                               .average_current = errors.average_current,
                                               .gradient = errors.gradient,
                                               .trained_gradient = errors.threshold_gradient});
    } else {
      NeuronModel::backward(backend, errors);
    }
  }

 protected:
  KernelNeurons(Backend& backend, const Clock& clock, const Kernel& constants)
      : constants_(constants), steps_(clock.steps) {
    if (HasTrainedConstants<Kernel>) return;
    height_ = backend.allocate<float>(1);
    const float height = constants.template height<float>();
    backend.upload(std::span(&height, 1), height_.view());
  }

  /// What Kernel::load takes.
  virtual View<const float> trained() const { return {}; }

  Kernel constants_;

 private:
  static NeuronState<Kernel> fields(std::span<const Matrix> all) {
    if (all.size() != state_size<Kernel>)
      throw std::invalid_argument("the state is not of these neurons' fields");
    NeuronState<Kernel> own;
    std::ranges::copy(all, own.begin());
    return own;
  }

  std::size_t steps_;
  Array<float> height_;
};

}  // namespace orthospike
