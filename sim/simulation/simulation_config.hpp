#pragma once

#include <string>
#include <vector>

#include "sim/settings.hpp"
#include "sim/simulation/simulation.hpp"

namespace orthospike {

/// What a config for `simulate` says: sections [population.NAME], [projection.NAME] and [poisson.NAME] describe the network,
/// as many as there are.
class SimulationConfig {
 public:
  /// Sections in the order of these keys, section.name.key. Throws ConfigError for a section without a name.
  explicit SimulationConfig(const std::vector<std::string>& keys);

  std::string name = "simulation";
  std::size_t seed = 1;
  float time = 1000;
  float warm_up = 0;
  float dt = 0.1F;

  void describe(SettingsVisitor& visit);
  /// Throws ConfigError for populations that there are not and for parameters of distributions.
  SimulatedNetwork network() const;
  std::uint64_t steps() const;          ///< of it all
  std::uint64_t warm_up_steps() const;  ///< before spikes count

 private:
  struct Population {
    std::string name;
    std::size_t size = 1;
    Choice<NeuronModels> neuron{simulated_neuron_models()};
    std::string potential = "0";

    void describe(SettingsVisitor& visit);
  };
  struct Projection {
    std::string name, source, target;
    ConnectionRule::Kind kind = ConnectionRule::Kind::all_to_all;
    float probability = 0.1F;
    std::size_t number = 1;
    bool autapses = true, multapses = true;
    std::string weight = "0", delay = "1";

    void describe(SettingsVisitor& visit);
    ConnectionRule rule() const {
      return {.kind = kind,
              .probability = probability,
              .number = number,
              .autapses = autapses,
              .multapses = multapses};
    }
  };
  struct Poisson {
    std::string name, target;
    float rate = 0;
    float weight = 0;

    void describe(SettingsVisitor& visit);
  };

  std::size_t index_of(const std::string& key, const std::string& population) const;

  std::vector<Population> populations_;
  std::vector<Projection> projections_;
  std::vector<Poisson> stimuli_;
};

}  // namespace orthospike
