#pragma once

#include "sim/neurons/kernel_neurons.hpp"

namespace orthospike {

/// Leaky integrate-and-fire neurons in decay form (kernels/neurons/lif.hpp has the equations), with spikes of height
/// 1 and decay 1 - dt/tau. `if` are those without leak, `alif` those with adaptation, whose decays are
/// 1 - dt/adaptation_tau and, for synaptic currents, 1 - dt/synapse_tau.
class LifModel final : public KernelNeurons<Lif> {
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
    Traits traits() const { return kernel_traits<Lif>(); }
  };

  /// Throws ConfigError when dt is longer than one of the time constants.
  LifModel(Backend& backend, const Clock& clock, const Settings& settings);
};

}  // namespace orthospike
