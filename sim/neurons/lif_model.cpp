#include "sim/neurons/lif_model.hpp"

namespace orthospike {

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
    : KernelNeurons(
          backend, clock,
          {.decay =
               settings.kind == Kind::integrate_and_fire ? 1.0F : clock.decay("neuron.tau", settings.tau),
           .threshold = settings.threshold,
           .synapse_decay = clock.decay("neuron.synapse_tau", settings.synapse_tau),
           .hard_reset = settings.reset == Reset::hard}) {
  if (settings.kind != Kind::adaptive) return;
  constants_.adaptation = settings.adaptation;
  constants_.adaptation_decay = clock.decay("neuron.adaptation_tau", settings.adaptation_tau);
}

}  // namespace orthospike
