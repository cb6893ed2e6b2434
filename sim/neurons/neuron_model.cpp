#include "sim/neurons/neuron_model.hpp"

#include <stdexcept>

#include "sim/neurons/iaf_psc_delta_model.hpp"
#include "sim/neurons/lif_dsr_model.hpp"
#include "sim/neurons/lif_model.hpp"

namespace orthospike {

void NeuronModel::backward(Backend& /*backend*/, const Backward& /*errors*/) const {
  throw std::invalid_argument("the spikes of these neurons have no surrogate derivative");
}

void NeuronModel::backward(Backend& /*backend*/, const AveragesBackward& /*errors*/) const {
  throw std::invalid_argument("the averages of these neurons have no derivative");
}

NeuronModels& neuron_models() {
  static auto registry = [] {
    NeuronModels models("neuron.model", "Neuron model of the hidden populations");
    models.add<LifDsrModel>("lif_dsr", "leaky, of the rule dsr");
    models.add<LifModel>("lif", "leaky, decay 1 - dt/tau", LifModel::Settings{});
    models.add<LifModel>("if", "without leak",
                         LifModel::Settings{.kind = LifModel::Kind::integrate_and_fire});
    models.add<LifModel>("alif", "lif whose threshold adapts",
                         LifModel::Settings{.kind = LifModel::Kind::adaptive});
    return models;
  }();
  return registry;
}

NeuronModels& simulated_neuron_models() {
  static auto registry = [] {
    NeuronModels models("neuron.model", "Neuron model of the population, as NEST names it");
    models.add<IafPscDeltaModel>("iaf_psc_delta", "leaky, whose potential jumps by what arrives");
    return models;
  }();
  return registry;
}

std::vector<std::string> neuron_models_with(bool NeuronModel::Traits::*trait, bool holds) {
  std::vector<std::string> names;
  for (const auto& entry : neuron_models().entries()) {
    if (entry.traits(entry.defaults).*trait == holds) names.push_back(entry.name);
  }
  return names;
}

}  // namespace orthospike
