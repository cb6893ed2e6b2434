#pragma once

#include "kernels/backend.hpp"
#include "sim/registry.hpp"

namespace orthospike {

/// What a population did in the last batch, T steps of B samples. Views are empty where a kind of population
/// has no such thing.
template <class T, class M>
struct BasicActivity {
  SpikeView<T> spikes;  ///< rows ordered step · B + sample
  M average_current;    ///< [B × neurons] time average of the input current; of a read-out, the logits
  M average_output;     ///< [B × neurons] time average of the output, weighted as the neuron model says
  M mean_output;        ///< [B × neurons] plain mean over the steps of the output
  M membrane;           ///< [B × neurons] potential after the last step

  operator BasicActivity<const T, ConstMatrix>() const {
    return {spikes, average_current, average_output, mean_output, membrane};
  }
};

using Activity = BasicActivity<std::uint32_t, Matrix>;
using ConstActivity = BasicActivity<const std::uint32_t, ConstMatrix>;

/// Settings shared by all neuron models.
struct NeuronSettings {
  std::size_t steps = 0;      ///< time steps T of one sample
  float dt = 0;               ///< step, in the unit of tau
  float tau = 0;              ///< membrane time constant
  float threshold = 0;        ///< potential that a spike takes away
  float firing_fraction = 0;  ///< part of the threshold at which a spike starts
};

/// The dynamics of one population and its trainable constants.
class NeuronModel {
 public:
  virtual ~NeuronModel() = default;

  /// Runs all steps from rest. currents: [B × neurons], the same in every step, or [steps·B × neurons].
  virtual void run(Backend& backend, ConstMatrix currents, const Activity& activity) const = 0;

  /// [1], what a spike carries to its targets is this over dt.
  virtual View<float> threshold() = 0;
  virtual View<const float> threshold() const = 0;
};

/// Neuron models by their config name (key neuron.model).
Registry<NeuronModel, Backend&, const NeuronSettings&>& neuron_models();

}  // namespace orthospike
