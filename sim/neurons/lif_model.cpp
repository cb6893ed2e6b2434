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

LifModel::LifModel(Backend& backend, const NeuronSettings& settings, Kind kind)
    : constants_{.decay =
                     kind == Kind::integrate_and_fire ? 1.0F : decay("neuron.tau", settings.dt, settings.tau),
                 .threshold = settings.threshold,
                 .hard_reset = settings.hard_reset},
      height_(backend.allocate<float>(1)) {
  if (settings.synapse_tau > 0.0F)
    constants_.synapse_decay = decay("neuron.synapse_tau", settings.dt, settings.synapse_tau);
  if (kind == Kind::adaptive) {
    constants_.adaptation = settings.adaptation;
    constants_.adaptation_decay = decay("neuron.adaptation_tau", settings.dt, settings.adaptation_tau);
  }
  const float one = 1.0F;
  backend.upload(std::span(&one, 1), height_.view());
}

void LifModel::run(Backend& backend, std::size_t first, std::size_t count, ConstMatrix currents,
                   const Activity& activity) const {
  backend.lif().run(
      RunLif{.neuron = constants_,
             .steps = count,
             .from_rest = first == 0,
             .currents = currents,
             .state = {.synapse = activity.synapse,
                       .potential = activity.membrane,
                       .adaptation = activity.adaptation},
             .outputs = {
                 .spikes = activity.spikes, .mean_output = activity.mean_output, .margin = activity.margin}});
}

}  // namespace orthospike
