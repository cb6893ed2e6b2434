#pragma once

#include "kernels/backend.hpp"
#include "sim/clock.hpp"
#include "sim/registry.hpp"

namespace orthospike {

/// What a population did in some steps of a batch of B samples. Views are empty where a kind of population has
/// no such thing.
template <class T, class M>
struct BasicActivity {
  SpikeView<T> spikes;  ///< rows ordered step · B + sample
  M average_current;    ///< [B × neurons] time average of the input current
  M average_output;     ///< [B × neurons] time average of the output, weighted as the neuron model says
  M mean_output;        ///< [B × neurons] plain mean over the steps of the output
  M membrane;           ///< [B × neurons] potential after the last step
  M synapse;            ///< [B × neurons] synaptic current after the last step
  M adaptation;         ///< [B × neurons] threshold adaptation after the last step
  M margin;             ///< [steps·B × neurons] potential above what fires, when it was asked for

  operator BasicActivity<const T, ConstMatrix>() const {
    return {spikes, average_current, average_output, mean_output, membrane, synapse, adaptation, margin};
  }
};

using Activity = BasicActivity<std::uint32_t, Matrix>;
using ConstActivity = BasicActivity<const std::uint32_t, ConstMatrix>;

/// The dynamics of one population and its trainable constants.
class NeuronModel {
 public:
  virtual ~NeuronModel() = default;

  /// Runs steps first … first + count - 1: from rest when first is 0, else from the state in `activity`.
  /// currents: [B × neurons], the same in every step, or [count·B × neurons].
  virtual void run(Backend& backend, std::size_t first, std::size_t count, ConstMatrix currents,
                   const Activity& activity) const = 0;

  /// Whether averages of currents and outputs are weighted by a kernel over time. If not, average_output is
  /// mean_output and there is no average_current.
  virtual bool has_weighted_averages() const { return false; }
  /// What a spike carries to its targets: numerator[0] / denominator.
  struct SpikeHeight {
    View<const float> numerator;
    float denominator;
  };
  virtual SpikeHeight spike_height() const = 0;
  /// [1] threshold that can be trained; empty where it is a constant.
  virtual View<float> threshold() { return {}; }
  /// What a trained threshold stays above.
  virtual float lowest_threshold() const { return 0; }
};

/// Neuron models by their config name.
using NeuronModels = Registry<NeuronModel, Backend&, const Clock&>;
NeuronModels& neuron_models();

}  // namespace orthospike
