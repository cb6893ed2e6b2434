#include "sim/neurons/neuron_model.hpp"

#include "sim/neurons/lif_dsr_model.hpp"
#include "sim/neurons/lif_model.hpp"

namespace orthospike {

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

}  // namespace orthospike
