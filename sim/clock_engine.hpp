#pragma once

#include <cstddef>
#include <vector>

#include "sim/network.hpp"

namespace orthospike {

/// How spikes are delivered (Backend::deliver).
struct DeliverySettings {
  Delivery form = Delivery::automatic;
  float crossover = 0.17F;  ///< share of active neurons above which a dense product is cheaper
};

/// Runs a network with a fixed time step on batches of samples that start from rest.
///
/// Projections are feed-forward, so each population runs all its steps before the next begins: weights are
/// read from memory once a batch, the current of a static input is computed once, and a read-out needs one
/// product with the average of its input.
class ClockEngine {
 public:
  /// Holds the activity of up to max_batch samples of `steps` steps. The network must be complete and outlive
  /// this.
  ClockEngine(Network& network, const NeuronSettings& neuron, std::size_t max_batch,
              const DeliverySettings& delivery);

  /// The place for the input currents of the next batch, [batch × input neurons]. Throws
  /// std::invalid_argument when batch is 0 or above max_batch.
  Matrix input(std::size_t batch);
  /// Runs the batch whose currents lie in `input`.
  void run();

  /// What a population did in the last batch. Of an input population, the average and mean outputs are the
  /// input.
  ConstActivity activity(std::size_t population) const;
  /// [batch × classes]
  ConstMatrix logits() const;

  const Network& network() const { return network_; }
  Network& network() { return network_; }
  std::size_t batch() const { return batch_; }
  std::size_t steps() const { return steps_; }

  /// Spikes and synaptic operations (additions of a weight to a current) since the engine was made, over all
  /// samples run. Waits for the back end.
  struct Work {
    double spikes = 0;
    double synaptic_operations = 0;
    double samples = 0;
  };
  Work work() const;

 private:
  /// Views for the current batch.
  Activity buffers(std::size_t population) const;

  struct Storage {
    Array<std::uint32_t> counts, indices;
    Array<float> average_current, average_output, mean_output, membrane;
    Array<std::uint64_t> spike_total;
  };

  Network& network_;
  std::size_t steps_;
  float dt_;
  std::size_t max_batch_;
  DeliverySettings delivery_;
  std::size_t batch_ = 0;
  double samples_ = 0;
  std::vector<std::unique_ptr<Storage>> storage_;  ///< one a population
  Array<float> currents_;                          ///< [steps·max_batch × widest target of spikes]
};

}  // namespace orthospike
