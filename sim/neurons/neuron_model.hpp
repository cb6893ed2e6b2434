#pragma once

#include <optional>
#include <span>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/neurons/surrogate.hpp"
#include "sim/archive.hpp"
#include "sim/clock.hpp"
#include "sim/registry.hpp"

namespace orthospike {

/// What a population did in some steps of a batch of B samples. Views are empty where a kind of population has
/// no such thing.
template <class T, class M>
struct BasicActivity {
  SpikeView<T> spikes;   ///< rows ordered step · B + sample
  M average_current;     ///< [B × neurons] time average of the input current
  M average_output;      ///< [B × neurons] time average of the output, weighted as the neuron model says
  M mean_output;         ///< [B × neurons] plain mean over the steps of the output
  M margin;              ///< [steps·B × neurons] potential above what fires, when it was asked for
  std::vector<M> state;  ///< [B × neurons] each, after the last step, as NeuronModel::state_fields names them
  // When they were asked for:
  std::vector<M> each_state = {};  ///< [steps·B × neurons] the same after each step; else none
  M current = {};                  ///< [steps·B × neurons] the input current
  /// [steps·B × neurons], or [B × neurons] when the same in every step: what the current is before gain and offset, where
  /// normalisation is in training
  M normalised = {};

  operator BasicActivity<const T, ConstMatrix>() const {
    return {spikes,
            average_current,
            average_output,
            mean_output,
            margin,
            {state.begin(), state.end()},
            {each_state.begin(), each_state.end()},
            current,
            normalised};
  }
};

using Activity = BasicActivity<std::uint32_t, Matrix>;
using ConstActivity = BasicActivity<const std::uint32_t, ConstMatrix>;

/// The dynamics of one population and its trainable constants, and what rules may ask of them. kernel_neurons.hpp
/// makes one of a struct in kernels/neurons/.
class NeuronModel {
 public:
  struct Traits {
    bool has_weighted_averages = false;
    bool has_surrogate_derivative = false;
  };

  virtual ~NeuronModel() = default;

  /// Names of what a neuron keeps from step to step; the engine has memory for each.
  virtual std::span<const char* const> state_fields() const = 0;
  /// Runs steps first … first + count - 1: from rest when first is 0, else from the state in `activity`.
  /// currents: [B × neurons], the same in every step, or [count·B × neurons]. Throws std::invalid_argument for fewer
  /// than all steps where averages are weighted.
  virtual void run(Backend& backend, std::size_t first, std::size_t count, ConstMatrix currents,
                   const Activity& activity) const = 0;

  /// Where averages of currents and outputs are weighted: by decay^(T-t), t = 1…T. If not, average_output is
  /// mean_output and there is no average_current.
  virtual std::optional<float> averaging_decay() const { return {}; }
  bool has_weighted_averages() const { return averaging_decay().has_value(); }
  /// What a spike carries to its targets: numerator[0] / denominator.
  struct SpikeHeight {
    View<const float> numerator;
    float denominator;
  };
  virtual SpikeHeight spike_height() const = 0;
  /// The potential, in mV, of neurons at rest, from which states count theirs.
  virtual float resting_potential() const { return 0; }
  /// [1] threshold that can be trained; empty where it is a constant.
  virtual View<float> threshold() { return {}; }
  /// What a trained threshold stays above.
  virtual float lowest_threshold() const { return 0; }
  /// A threshold that can be trained: all else starts from rest with each sample.
  virtual void state(Archive& archive) { archive("threshold", threshold()); }

  /// Of a model whose spikes have a surrogate derivative.
  virtual std::optional<SurrogateTraits> surrogate_traits() const { return {}; }
  struct Backward {
    SurrogateDerivative derivative;
    std::size_t steps;
    ConstMatrix margin;  ///< [steps·B × neurons]
    ConstMatrix
        output_error;  ///< by the spikes, [steps·B × neurons], or [B × neurons] when the same in every step
    /// Errors by each field of the state after the last step, [B × neurons]; left are those by the state before the
    /// first. None: 0.
    std::span<const Matrix> later = {};
    Matrix current_error;  ///< by the currents, [steps·B × neurons]
  };
  /// Errors back through steps. Throws std::invalid_argument where there are no surrogate_traits.
  virtual void backward(Backend& backend, const Backward& errors) const;

  struct AveragesBackward {
    float scale = 1;
    ConstMatrix average_current;     ///< [B × neurons]
    Matrix gradient;                 ///< [B × neurons] by the average output, then by the current; in place
    View<float> threshold_gradient;  ///< [1]
  };
  /// The derivative of average outputs by average currents, times scale. Throws std::invalid_argument where averages
  /// are not weighted.
  virtual void backward(Backend& backend, const AveragesBackward& errors) const;
};

/// Neuron models by their config name.
using NeuronModels = Registry<NeuronModel, Backend&, const Clock&>;
NeuronModels& neuron_models();
/// Those of networks that are simulated (sim/simulation/), whose first state is the potential.
NeuronModels& simulated_neuron_models();
/// Names of those of which it holds, or does not.
std::vector<std::string> neuron_models_with(bool NeuronModel::Traits::*trait, bool holds = true);

}  // namespace orthospike
