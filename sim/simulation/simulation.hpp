#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.hpp"
#include "sim/neurons/neuron_model.hpp"
#include "sim/synapses/synapse_builder.hpp"

namespace orthospike {

/// A network that is simulated and not trained: populations, sparse projections with delays among them, and stimuli.
struct SimulatedNetwork {
  struct Population {
    std::string name;
    std::size_t size = 0;
    Choice<NeuronModels> neuron{simulated_neuron_models()};
    Distribution potential;  ///< mV, at the beginning
  };
  struct Projection {
    std::string name;
    std::size_t source = 0, target = 0;  ///< indices of populations
    ConnectionRule rule;
    Distribution weight;  ///< mV or pA, as the target's neuron model has it
    Distribution delay;   ///< ms
  };
  /// A Poisson spike train of its own for each neuron.
  struct Poisson {
    std::string name;
    std::size_t target = 0;
    double rate = 0;  ///< Hz
    float weight = 0;
  };

  std::vector<Population> populations;
  std::vector<Projection> projections;
  std::vector<Poisson> stimuli;
};

/// Is told of all spikes in the order of time.
class SpikeObserver {
 public:
  virtual ~SpikeObserver() = default;

  /// Of a population in counts.size() steps from `first` on; the spikes of a step are those of the step that ends at
  /// (step + 1) · dt. neurons: [sum of counts], ascending in each step.
  virtual void spikes(std::size_t population, std::uint64_t first, std::span<const std::uint32_t> counts,
                      std::span<const std::uint32_t> neurons) = 0;
};

/// Clock-driven, with delivery along events. Spikes travel for at least a step; as many steps as the shortest delay has are
/// run at a time, first what arrives in them at a population, then its neurons, so that each works with what is in the
/// cache. What a run gives does not depend on the number of threads.
class Simulation {
 public:
  /// Builds synapses and draws initial potentials. Throws ConfigError for what cannot be built.
  Simulation(Backend& backend, const SimulatedNetwork& network, float dt, std::uint64_t seed);

  /// Goes on for so many steps. Throws EnvironmentError where potentials are no finite numbers after them.
  void run(std::uint64_t steps, SpikeObserver& observer);

  std::uint64_t now() const { return now_; }  ///< steps that were run
  std::uint64_t synapses() const;
  std::uint64_t synapse_bytes() const;
  /// Steps that are run at a time.
  std::size_t interval() const { return interval_; }

 private:
  struct Population {
    std::string name;
    std::size_t size = 0;
    std::unique_ptr<NeuronModel> neuron;
    std::vector<Array<float>> state;
    Array<float> mean_output;              ///< which neuron models write
    Array<std::uint32_t> counts, indices;  ///< of the ring of steps
  };
  struct Projection {
    std::size_t source = 0, target = 0;
    Synapses synapses;
  };
  struct Poisson {
    std::size_t target = 0;
    Array<std::uint32_t> below;
    float weight = 0;
    RandomKey key;
  };

  void draw_potentials(Population& population, const Distribution& potential, std::uint32_t number);
  void run_interval(std::size_t steps);
  void check_potentials() const;
  void tell(std::size_t population, std::size_t steps, SpikeObserver& observer);
  Spikes ring(Population& population) const;

  Backend& backend_;
  std::uint64_t seed_;
  std::uint64_t now_ = 0;
  std::size_t interval_ = 1;
  std::size_t ring_ = 1;  ///< steps whose spikes are kept, a multiple of the interval
  std::vector<Population> populations_;
  std::vector<Projection> projections_;  ///< those to a population together
  std::vector<Poisson> stimuli_;
  Array<float> arriving_;
};

}  // namespace orthospike
