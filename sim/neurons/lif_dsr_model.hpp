#pragma once

#include "kernels/lif_dsr.hpp"
#include "sim/neurons/neuron_model.hpp"

namespace orthospike {

/// Leaky integrate-and-fire neurons in the form of DSR (lif_dsr.hpp, LifDsr, has the equation): the weighted
/// spike rate approximates clamp(average current / tau, 0, threshold / dt), which is what the dsr rule
/// differentiates.
class LifDsrModel final : public NeuronModel {
 public:
  struct Settings {
    float tau = 1.0F;
    float threshold = 0.3F;
    float firing_fraction = 0.3F;
    float lowest_threshold = 0.0005F;

    void describe(SettingsVisitor& visit);
  };

  LifDsrModel(Backend& backend, const Clock& clock, const Settings& settings);

  /// Throws std::invalid_argument for fewer than all steps: averages are over all of them.
  void run(Backend& backend, std::size_t first, std::size_t count, ConstMatrix currents,
           const Activity& activity) const override;
  bool has_weighted_averages() const override { return true; }
  SpikeHeight spike_height() const override { return {threshold_.view(), constants_.dt}; }
  View<float> threshold() override { return threshold_.view(); }
  float lowest_threshold() const override { return lowest_threshold_; }
  View<const float> threshold() const { return threshold_.view(); }

  const LifDsr& constants() const { return constants_; }
  std::size_t steps() const { return steps_; }

 private:
  LifDsr constants_;
  std::size_t steps_;
  float lowest_threshold_;
  Array<float> threshold_;
};

}  // namespace orthospike
