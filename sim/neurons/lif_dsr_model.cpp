#include "sim/neurons/lif_dsr_model.hpp"

#include <cmath>
#include <stdexcept>

namespace orthospike {

LifDsrModel::LifDsrModel(Backend& backend, const NeuronSettings& settings)
    : constants_{.decay = std::exp(-settings.dt / settings.tau),
                 .dt = settings.dt,
                 .tau = settings.tau,
                 .firing_fraction = settings.firing_fraction},
      steps_(settings.steps),
      threshold_(backend.allocate<float>(1)) {
  backend.upload(std::span<const float>(&settings.threshold, 1), threshold_.view());
}

void LifDsrModel::run(Backend& backend, std::size_t first, std::size_t count, ConstMatrix currents,
                      const Activity& activity) const {
  if (first != 0 || count != steps_)
    throw std::invalid_argument("lif_dsr neurons run all steps of a sample at once");
  backend.lif_dsr().run(RunLifDsr{.neuron = constants_,
                                  .threshold = threshold(),
                                  .steps = steps_,
                                  .currents = currents,
                                  .outputs = {.spikes = activity.spikes,
                                              .average_current = activity.average_current,
                                              .average_output = activity.average_output,
                                              .mean_output = activity.mean_output,
                                              .membrane = activity.membrane}});
}

}  // namespace orthospike
