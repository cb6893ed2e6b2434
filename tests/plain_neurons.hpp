#pragma once

#include <fmt/format.h>

#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "sim/neurons/neuron_model.hpp"

namespace orthospike::testing {

/// Neurons of any model on a clock; each model takes what it has a key for.
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
  std::vector<std::pair<std::string, float>> others = {};  ///< keys that the model must have, and values

  std::unique_ptr<NeuronModel> make(const std::string& model, Backend& backend) const {
    struct Setter final : SettingsVisitor {
      std::map<std::string, std::string> values;
      void visit(const Key& key) override {
        if (const auto value = values.extract(key.name)) key.set(value.mapped());
      }
    } setter;
    setter.values["neuron.reset"] = hard_reset ? "hard" : "soft";
    std::vector<std::pair<std::string, float>> numbers = {{"neuron.tau", tau},
                                                          {"neuron.threshold", threshold},
                                                          {"neuron.firing_fraction", firing_fraction},
                                                          {"neuron.synapse_tau", synapse_tau},
                                                          {"neuron.adaptation", adaptation},
                                                          {"neuron.adaptation_tau", adaptation_tau}};
    numbers.insert(numbers.end(), others.begin(), others.end());
    for (const auto& [key, value] : numbers) setter.values[key] = fmt::format("{}", value);
    Choice<NeuronModels> choice(neuron_models());
    choice.choose(model);
    choice.describe_parts(setter);
    for (const auto& [key, value] : others) {
      if (setter.values.contains(key)) throw std::invalid_argument(model + " has no key " + key);
    }
    return choice.make(backend, Clock{.steps = steps, .dt = dt});
  }
};

}  // namespace orthospike::testing
