#include "learning/nir/neurons.hpp"

#include <fmt/format.h>

#include <cmath>

#include "kernels/error.hpp"
#include "sim/neurons/lif_dsr_model.hpp"
#include "sim/neurons/lif_model.hpp"

namespace orthospike {

void check_against_config(const TrainedNetwork& network, const Config& config, const std::string& place) {
  const std::unique_ptr<Backend> backend = make_backend("reference", 1);
  Network built(*backend);
  std::string found;
  try {
    config.network.build(built, network.shape, network.logits(), config.neuron, config.clock,
                         config.experiment.seed);
    found = difference(network, built, config.neuron.name());
  } catch (const ConfigError& error) {
    found = error.what();
  }
  if (!found.empty())
    throw EnvironmentError(fmt::format("{}: the network is not that of its config: {}", place, found));
}

NirConstants constants(Config config, const std::vector<float>& threshold, const std::string& place) {
  const double dt = config.clock.dt * ms;
  const std::string model = config.neuron.name();
  if (model == "lif_dsr") {
    const auto& its = config.neuron.settings<LifDsrModel::Settings>();
    const float decay = std::exp(-config.clock.dt / its.tau);
    const float level = its.firing_fraction * threshold.front();
    return {.type = "LIF",
            .fields = {{"tau", dt / (1.0F - decay)},
                       {"r", 1},
                       {"v_leak", 0},
                       {"v_threshold", level},
                       {"v_reset", level - threshold.front()}},
            .height = threshold.front() / config.clock.dt,
            .averaging_decay = decay};
  }
  if (model != "lif" && model != "if")
    throw EnvironmentError(
        fmt::format("{}: neuron.model is {}, expected lif_dsr, lif or if: NIR has no neuron with an adapting "
                    "threshold",
                    place, model));
  const auto& its = config.neuron.settings<LifModel::Settings>();
  const double tau = its.tau * ms, synapse_tau = its.synapse_tau * ms;
  NirConstants result{.type = "LIF",
                      .fields = {{"v_threshold", its.threshold}, {"v_reset", 0}},
                      .soft = its.reset == LifModel::Reset::soft};
  if (model == "if") {
    if (synapse_tau > 0)
      throw EnvironmentError(
          fmt::format("{}: neuron.synapse_tau is {} with the model if, expected 0: NIR has synaptic currents "
                      "only in leaky neurons",
                      place, its.synapse_tau));
    result.type = "IF";
    result.fields["r"] = 1 / dt;
    return result;
  }
  result.fields["r"] = tau / dt;
  result.fields["v_leak"] = 0;
  if (synapse_tau == 0) {
    result.fields["tau"] = tau;
    return result;
  }
  result.type = "CubaLIF";
  result.fields["tau_mem"] = tau;
  result.fields["tau_syn"] = synapse_tau;
  result.fields["w_in"] = synapse_tau / dt;
  return result;
}

}  // namespace orthospike
