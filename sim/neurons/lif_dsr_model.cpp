#include "sim/neurons/lif_dsr_model.hpp"

#include <cmath>

namespace orthospike {

void LifDsrModel::Settings::describe(SettingsVisitor& visit) {
  visit("neuron.tau", tau, positive, "ms", "Membrane time constant.");
  visit(
      "neuron.threshold", threshold, positive, "potential",
      "Firing threshold before training, which a spike takes off the membrane; a spike carries threshold/dt.");
  visit("neuron.lowest_threshold", lowest_threshold, positive, "potential",
        "Floor under the trained thresholds.");
  visit("neuron.firing_fraction", firing_fraction, positive_fraction, "-",
        "A spike starts at this part of the threshold (alpha of DSR).");
}

LifDsrModel::LifDsrModel(Backend& backend, const Clock& clock, const Settings& settings)
    : KernelNeurons(backend, clock,
                    {.decay = std::exp(-clock.dt / settings.tau),
                     .dt = clock.dt,
                     .tau = settings.tau,
                     .firing_fraction = settings.firing_fraction}),
      lowest_threshold_(settings.lowest_threshold),
      threshold_(backend.allocate<float>(1)) {
  backend.upload(std::span<const float>(&settings.threshold, 1), threshold_.view());
}

}  // namespace orthospike
