#pragma once

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include "kernels/family.hpp"
#include "kernels/neurons/models.hpp"

namespace orthospike {

/// What neurons of a model carry from step to step, each [batch × neurons], in the order of Model::state.
template <class Model>
using NeuronState = std::array<Matrix, state_size<Model>>;

/// What a population did in some steps.
struct NeuronOutputs {
  Spikes spikes;       ///< rows ordered step · batch + sample
  Matrix mean_output;  ///< [batch × neurons] plain mean over the steps of the output, spike height included
  Matrix margin;       ///< [steps·batch × neurons], or empty where nobody needs it
  // Of models with averages, else empty; with the model's weights, normalised to sum 1:
  Matrix average_current;  ///< [batch × neurons]
  Matrix average_output;   ///< [batch × neurons] spike height included
};

/// Runs steps of a population, from `state`, or from rest, and leaves its state after the last step there. Every back
/// end computes exactly Model::step, so that spikes agree.
template <class Model>
struct RunNeurons {
  Model neuron;
  View<const float> trained = {};  ///< what Model::load takes
  std::size_t steps;
  bool from_rest = true;  ///< always with averages, which are over all steps
  ConstMatrix
      currents;  ///< [steps·batch × neurons], or [batch × neurons] when they are the same in every step
  NeuronState<Model> state;
  /// [steps·batch × neurons] the state after each step, or empty where nobody needs it
  NeuronState<Model> each_state = {};
  NeuronOutputs outputs;

  std::size_t batch() const { return outputs.mean_output.rows; }
  std::size_t neurons() const { return outputs.mean_output.cols; }
  /// Elements from one step's currents to the next.
  std::size_t step_stride() const { return currents.rows == batch() ? 0 : batch() * neurons(); }
  bool keeps_states() const { return !each_state[0].empty(); }
  /// Σ of the averaging weights before they are normalised.
  double weight_sum() const requires HasAverages<Model> {
    double sum = 0;
    for (std::size_t t = 0; t < steps; ++t) sum = static_cast<double>(neuron.averaging_decay()) * sum + 1.0;
    return sum;
  }
  void check() const {
    const Matrix& shape = outputs.mean_output;
    require(std::ranges::all_of(state, [&](const Matrix& field) { return same_shape(shape, field); }),
            "neurons", "states and outputs differ in shape");
    if (HasAverages<Model>) {
      require(same_shape(shape, outputs.average_current) && same_shape(shape, outputs.average_output),
              "neurons", "outputs differ in shape");
      require(from_rest, "neurons", "averages are over all steps, from rest");
    }
    require(steps > 0 && (currents.rows == shape.rows || currents.rows == steps * shape.rows) &&
                currents.cols == shape.cols,
            "neurons", "currents are neither [batch × neurons] nor [steps·batch × neurons]");
    require(outputs.spikes.rows == steps * shape.rows && outputs.spikes.neurons == shape.cols &&
                (outputs.margin.empty() ||
                 (outputs.margin.rows == steps * shape.rows && outputs.margin.cols == shape.cols)),
            "neurons", "spikes or margins do not have one row for each step and sample");
    require(std::ranges::all_of(each_state,
                                [&](const Matrix& field) {
                                  return keeps_states()
                                             ? field.rows == steps * shape.rows && field.cols == shape.cols
                                             : field.empty();
                                }),
            "neurons", "states of all steps do not have one row for each step and sample");
    require(trained.size() == (HasTrainedConstants<Model> ? 1 : 0), "neurons",
            "trained constants are not as many as the model has");
  }
  bool empty() const { return outputs.mean_output.empty(); }
};

/// Errors by the currents from those by the spikes, last step first, as Model::backward has it. A reset that is not
/// detached needs a model that differentiates it.
template <class Model>
struct NeuronsBackward {
  Model neuron;
  SurrogateDerivative derivative;
  std::size_t steps;
  ConstMatrix margin;  ///< [steps·batch × neurons]
  /// [steps·batch × neurons], or [batch × neurons] when it is the same in every step; may be current_error itself.
  ConstMatrix output_error;
  /// Errors by the state after the last step, where those by the state before the first are left; when empty, 0.
  NeuronState<Model> later = {};
  Matrix current_error;  ///< [steps·batch × neurons]

  std::size_t step_size() const { return margin.values.size() / steps; }
  /// Elements from one step's errors to the next.
  std::size_t step_stride() const { return output_error.rows < margin.rows ? 0 : step_size(); }
  bool has_later() const { return !later[0].empty(); }
  void check() const {
    require(same_shape(margin, current_error) && steps > 0 && margin.rows % steps == 0, "neurons_backward",
            "margins and errors are not [steps·batch × neurons]");
    require((output_error.rows == margin.rows || output_error.rows * steps == margin.rows) &&
                output_error.cols == margin.cols,
            "neurons_backward", "errors are neither [batch × neurons] nor [steps·batch × neurons]");
    const Matrix& shape = later[0];
    require(std::ranges::all_of(later, [&](const Matrix& field) { return same_shape(shape, field); }) &&
                (shape.empty() || (shape.rows * steps == margin.rows && shape.cols == margin.cols)),
            "neurons_backward", "errors of the step after are not [batch × neurons]");
    require(derivative.detached_reset || neuron.surrogate_traits().differentiates_reset, "neurons_backward",
            "errors through the reset are not defined by the margins of these neurons");
  }
  bool empty() const { return margin.empty(); }
};

/// The derivative of average outputs by average currents (Model::by_average_current), and by what is trained:
///   gradient ← by_average_current(scale, average_current, gradient)   (in place);
///   trained_gradient[0] ← trained_scale · scale · Σ by_trained(average_current, gradient).
template <class Model>
struct AveragesBackward {
  Model neuron;
  View<const float> trained;  ///< what Model::load takes
  float scale = 1;
  ConstMatrix average_current;   ///< [batch × neurons]
  Matrix gradient;               ///< [batch × neurons]
  View<float> trained_gradient;  ///< [1]

  void check() const {
    require(same_shape(average_current, gradient), "averages_backward",
            "gradient and currents differ in shape");
    require(trained.size() == 1 && trained_gradient.size() == 1, "averages_backward",
            "what is trained and its gradient are not one number each");
  }
};

/// The operations that a model has, as a tuple type.
template <class Model>
using NeuronOperations = decltype(std::tuple_cat(
    std::declval<std::tuple<RunNeurons<Model>>>(),
    std::declval<std::conditional_t<HasSurrogateDerivative<Model>, std::tuple<NeuronsBackward<Model>>,
                                    std::tuple<>>>(),
    std::declval<
        std::conditional_t<HasAverages<Model>, std::tuple<AveragesBackward<Model>>, std::tuple<>>>()));

template <class Operations>
struct FamilyOf;
template <class... Operations>
struct FamilyOf<std::tuple<Operations...>> {
  using Type = Family<Operations...>;
};
template <class Models>
struct OperationsOf;
template <class... Models>
struct OperationsOf<std::tuple<Models...>> {
  using Type = decltype(std::tuple_cat(std::declval<NeuronOperations<Models>>()...));
};
using NeuronFamily = FamilyOf<OperationsOf<NeuronKernels>::Type>::Type;

struct NeuronSteps : NeuronFamily {
  using NeuronFamily::NeuronFamily;
};

}  // namespace orthospike
