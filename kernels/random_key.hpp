#pragma once

#include <cstdint>

namespace orthospike {

/// What random numbers are drawn for. Streams of different purposes never overlap.
enum class RandomPurpose : std::uint32_t {
  weights = 1,
  feedback_weights = 2,
  subspace = 3,
  pixel_order = 4,
  sample_order = 5,
  replay_memory = 6,
  replay_order = 7,
  task_mixing = 8,
  boundary_detector = 9,
  held_back = 10,
  class_order = 11,
  sweep = 12,
  clients = 13,
  shards = 14,
  recorded_neurons = 15,
  recorded_samples = 16,
  connectivity = 17,
  synapses = 18,
  poisson = 19,
  initial_potentials = 20,
};

/// Names one stream of random numbers: the same key gives the same draws on every back end and with any
/// number of threads, because draw i is a function of (key, i) alone.
struct RandomKey {
  std::uint64_t seed = 0;
  RandomPurpose purpose = RandomPurpose::weights;
  std::uint32_t stream = 0;  ///< layer, task, epoch …: whatever tells streams of one purpose apart
};

}  // namespace orthospike
