#include "sim/neurons/iaf_psc_delta_model.hpp"

#include <cmath>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

IafPscDelta constants_of(const IafPscDeltaModel::Settings& settings, const Clock& clock) {
  if (settings.reset >= settings.threshold)
    throw ConfigError(
        "neuron.V_reset: it is not below neuron.V_th, so that neurons would never stop spiking");
  const double dt = clock.dt, tau = settings.tau_m;
  const double decay = std::exp(-dt / tau);
  return {.decay = static_cast<float>(decay),
          .drive = static_cast<float>((1 - decay) * tau / settings.capacitance * settings.current),
          .threshold = settings.threshold - settings.rest,
          .reset = settings.reset - settings.rest,
          .refractory_steps = static_cast<float>(clock.whole_steps("neuron.t_ref", settings.refractory))};
}

}  // namespace

void IafPscDeltaModel::Settings::describe(SettingsVisitor& visit) {
  visit("neuron.tau_m", tau_m, positive, "ms", "Membrane time constant.");
  visit("neuron.C_m", capacitance, positive, "pF", "Membrane capacitance.");
  visit("neuron.E_L", rest, any_number, "mV", "Resting potential.");
  visit("neuron.V_th", threshold, any_number, "mV", "Threshold.");
  visit("neuron.V_reset", reset, any_number, "mV", "Potential after a spike.");
  visit("neuron.t_ref", refractory, not_negative, "ms",
        "Time after a spike in which the potential stays and what arrives is lost; whole steps.");
  visit("neuron.I_e", current, any_number, "pA", "Constant current.");
}

IafPscDeltaModel::IafPscDeltaModel(Backend& backend, const Clock& clock, const Settings& settings)
    : KernelNeurons(backend, clock, constants_of(settings, clock)), rest_(settings.rest) {}

}  // namespace orthospike
