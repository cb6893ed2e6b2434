#include "sim/neurons/neuron_model.hpp"

#include "sim/neurons/lif_dsr_model.hpp"

namespace orthospike {

Registry<NeuronModel, Backend&, const NeuronSettings&>& neuron_models() {
  static auto registry = [] {
    Registry<NeuronModel, Backend&, const NeuronSettings&> models("neuron.model");
    models.add("lif_dsr", [](Backend& backend, const NeuronSettings& settings) {
      return std::make_unique<LifDsrModel>(backend, settings);
    });
    return models;
  }();
  return registry;
}

}  // namespace orthospike
