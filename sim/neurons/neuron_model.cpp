#include "sim/neurons/neuron_model.hpp"

#include "sim/neurons/lif_dsr_model.hpp"
#include "sim/neurons/lif_model.hpp"

namespace orthospike {

Registry<NeuronModel, Backend&, const NeuronSettings&>& neuron_models() {
  static auto registry = [] {
    Registry<NeuronModel, Backend&, const NeuronSettings&> models("neuron.model");
    models.add("lif_dsr", [](Backend& backend, const NeuronSettings& settings) {
      return std::make_unique<LifDsrModel>(backend, settings);
    });
    const auto add = [&](const char* name, LifModel::Kind kind) {
      models.add(name, [kind](Backend& backend, const NeuronSettings& settings) {
        return std::make_unique<LifModel>(backend, settings, kind);
      });
    };
    add("lif", LifModel::Kind::lif);
    add("if", LifModel::Kind::integrate_and_fire);
    add("alif", LifModel::Kind::adaptive);
    return models;
  }();
  return registry;
}

}  // namespace orthospike
