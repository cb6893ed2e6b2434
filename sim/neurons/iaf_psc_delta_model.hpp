#pragma once

#include "sim/neurons/kernel_neurons.hpp"

namespace orthospike {

/// Leaky integrate-and-fire neurons whose potential jumps by what arrives (kernels/neurons/iaf_psc_delta.hpp has the
/// equations), with the constants of NEST's iaf_psc_delta.
class IafPscDeltaModel final : public KernelNeurons<IafPscDelta> {
 public:
  struct Settings {
    float tau_m = 10.0F;
    float capacitance = 250.0F;
    float rest = -70.0F;
    float threshold = -55.0F;
    float reset = -70.0F;
    float refractory = 2.0F;
    float current = 0.0F;

    void describe(SettingsVisitor& visit);
    Traits traits() const { return kernel_traits<IafPscDelta>(); }
  };

  /// Throws ConfigError unless the reset is below the threshold and neurons are refractory for whole steps.
  IafPscDeltaModel(Backend& backend, const Clock& clock, const Settings& settings);

  float resting_potential() const override { return rest_; }

 private:
  float rest_;
};

}  // namespace orthospike
