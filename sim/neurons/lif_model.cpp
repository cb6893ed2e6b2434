#include "sim/neurons/lif_model.hpp"

#include <fmt/format.h>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

float decay(const char* key, float dt, float tau) {
  if (dt > tau) throw ConfigError(fmt::format("{}: {} is shorter than neuron.dt, {}", key, tau, dt));
  return 1.0F - dt / tau;
}

}  // namespace

void LifModel::Settings::describe(SettingsVisitor& visit) {
  if (kind != Kind::integrate_and_fire) visit("neuron.tau", tau, positive, "ms", "Membrane time constant.");
  visit("neuron.threshold", threshold, positive, "potential",
        "Firing threshold, which a spike takes off the membrane; a spike carries 1.");
  visit("neuron.reset", reset,
        {{"soft", Reset::soft, "takes the threshold off"}, {"hard", Reset::hard, "to 0"}},
        "What a spike does to the potential");
  visit("neuron.synapse_tau", synapse_tau, not_negative, "ms",
        "Time constant of synaptic currents; 0 puts spikes on the membrane at once.");
  if (kind != Kind::adaptive) return;
  visit("neuron.adaptation", adaptation, not_negative, "potential",
        "By how much a spike raises the threshold.");
  visit("neuron.adaptation_tau", adaptation_tau, positive, "ms", "Time constant at which that decays.");
}

LifModel::LifModel(Backend& backend, const Clock& clock, const Settings& settings)
    : KernelNeurons(clock, {.decay = settings.kind == Kind::integrate_and_fire
                                         ? 1.0F
                                         : decay("neuron.tau", clock.dt, settings.tau),
                            .threshold = settings.threshold,
                            .hard_reset = settings.reset == Reset::hard}),
      height_(backend.allocate<float>(1)) {
  if (settings.synapse_tau > 0.0F)
    constants_.synapse_decay = decay("neuron.synapse_tau", clock.dt, settings.synapse_tau);
  if (settings.kind == Kind::adaptive) {
    constants_.adaptation = settings.adaptation;
    constants_.adaptation_decay = decay("neuron.adaptation_tau", clock.dt, settings.adaptation_tau);
  }
  const float one = 1.0F;
  backend.upload(std::span(&one, 1), height_.view());
}

}  // namespace orthospike
