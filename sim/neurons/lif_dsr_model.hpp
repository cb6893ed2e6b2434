#pragma once

#include "sim/neurons/kernel_neurons.hpp"

namespace orthospike {

/// Leaky integrate-and-fire neurons in the form of DSR (kernels/neurons/lif_dsr.hpp has the equation): the weighted
/// spike rate approximates clamp(average current / tau, 0, threshold / dt), which is what the dsr rule
/// differentiates.
class LifDsrModel final : public KernelNeurons<LifDsr> {
 public:
  struct Settings {
    float tau = 1.0F;
    float threshold = 0.3F;
    float firing_fraction = 0.3F;
    float lowest_threshold = 0.0005F;

    void describe(SettingsVisitor& visit);
    Traits traits() const { return kernel_traits<LifDsr>(); }
  };

  LifDsrModel(Backend& backend, const Clock& clock, const Settings& settings);

  SpikeHeight spike_height() const override { return {threshold_.view(), constants_.dt}; }
  View<float> threshold() override { return threshold_.view(); }
  float lowest_threshold() const override { return lowest_threshold_; }
  View<const float> threshold() const { return threshold_.view(); }

 private:
  View<const float> trained() const override { return threshold_.view(); }

  float lowest_threshold_;
  Array<float> threshold_;
};

}  // namespace orthospike
