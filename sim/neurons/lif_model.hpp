#pragma once

#include "kernels/lif.hpp"
#include "sim/neurons/neuron_model.hpp"

namespace orthospike {

/// Leaky integrate-and-fire neurons in decay form (lif.hpp, Lif, has the equations), with spikes of height
/// 1 and decay 1 - dt/tau. `if` are those without leak, `alif` those with adaptation, whose decays are
/// 1 - dt/adaptation_tau and, for synaptic currents, 1 - dt/synapse_tau.
class LifModel final : public NeuronModel {
 public:
  enum class Kind { lif, integrate_and_fire, adaptive };

  enum class Reset { soft, hard };

  struct Settings {
    Kind kind = Kind::lif;
    float tau = 1.0F;
    float threshold = 0.3F;
    Reset reset = Reset::soft;
    float synapse_tau = 0.0F;
    float adaptation = 0.1F;
    float adaptation_tau = 20.0F;

    void describe(SettingsVisitor& visit);
  };

  /// Throws ConfigError when dt is longer than one of the time constants.
  LifModel(Backend& backend, const Clock& clock, const Settings& settings);

  void run(Backend& backend, std::size_t first, std::size_t count, ConstMatrix currents,
           const Activity& activity) const override;
  SpikeHeight spike_height() const override { return {height_.view(), 1.0F}; }

  const Lif& constants() const { return constants_; }

 private:
  Lif constants_;
  Array<float> height_;
};

}  // namespace orthospike
