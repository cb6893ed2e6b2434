#pragma once

#include "kernels/backend.hpp"
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

/// Settings of all neuron models.
struct NeuronSettings {
  std::size_t steps = 0;      ///< time steps T of one sample
  float dt = 0;               ///< step, in the unit of tau
  float tau = 0;              ///< membrane time constant
  float threshold = 0;        ///< potential that a spike takes away
  float firing_fraction = 0;  ///< part of the threshold at which a spike starts (lif_dsr)
  bool hard_reset = false;    ///< a spike sets the potential to 0 (lif, if, alif)
  float synapse_tau = 0;      ///< time constant of synaptic currents, 0 for none (lif, if, alif)
  float adaptation = 0;       ///< by how much a spike raises the threshold (alif)
  float adaptation_tau = 0;   ///< time constant at which that decays (alif)
};

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
};

/// Neuron models by their config name (key neuron.model).
Registry<NeuronModel, Backend&, const NeuronSettings&>& neuron_models();

}  // namespace orthospike
