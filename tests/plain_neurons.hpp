#pragma once

#include <string>

#include "sim/neurons/lif_dsr_model.hpp"
#include "sim/neurons/lif_model.hpp"

namespace orthospike::testing {

/// Neurons of any model on a clock; each model takes what it has.
struct PlainNeurons {
  std::size_t steps = 0;
  float dt = 0;  ///< ms, as are time constants
  float tau = 0;
  float threshold = 0;
  float firing_fraction = 0;
  bool hard_reset = false;
  float synapse_tau = 0;
  float adaptation = 0;
  float adaptation_tau = 0;

  std::unique_ptr<NeuronModel> make(const std::string& model, Backend& backend) const {
    Choice<NeuronModels> choice(neuron_models());
    choice.choose(model);
    if (model == "lif_dsr") {
      auto& settings = choice.settings<LifDsrModel::Settings>();
      settings.tau = tau;
      settings.threshold = threshold;
      settings.firing_fraction = firing_fraction;
    } else {
      auto& settings = choice.settings<LifModel::Settings>();
      settings.tau = tau;
      settings.threshold = threshold;
      settings.reset = hard_reset ? LifModel::Reset::hard : LifModel::Reset::soft;
      settings.synapse_tau = synapse_tau;
      settings.adaptation = adaptation;
      settings.adaptation_tau = adaptation_tau;
    }
    return choice.make(backend, Clock{.steps = steps, .dt = dt});
  }
};

}  // namespace orthospike::testing
