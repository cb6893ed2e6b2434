#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/simulation/simulation.hpp"

namespace orthospike {

/// How a population fires, measured while it runs, from a step on.
class SpikeStatistics final : public SpikeObserver {
 public:
  /// sizes: of all populations; first: step.
  SpikeStatistics(const std::vector<std::size_t>& sizes, float dt, std::uint64_t first, std::uint64_t seed);

  void spikes(std::size_t population, std::uint64_t first, std::span<const std::uint32_t> counts,
              std::span<const std::uint32_t> neurons) override;

  /// NaN where nothing was measured that it could be of.
  struct Measures {
    std::uint64_t spikes = 0;
    double rate = 0;            ///< Hz, mean over the neurons
    double rate_deviation = 0;  ///< of the neurons' rates
    double silent = 0;          ///< share of the neurons
    /// Deviation of the intervals between spikes over their mean, averaged over neurons with at least three spikes.
    double cv = 0;
    double correlation = 0;  ///< of counts in 2 ms, mean over pairs of up to 200 neurons that spike
    double fano = 0;         ///< variance over mean of the population's counts in 3 ms
  };
  Measures measures(std::size_t population) const;

 private:
  struct Neuron {
    std::uint64_t last = 0;
    std::uint32_t spikes = 0;
    double intervals = 0, squares = 0;  ///< sums of intervals, in steps, and of their squares
  };
  struct Population {
    std::vector<Neuron> neurons;
    std::vector<std::uint8_t> is_sampled;                       ///< whether its spikes are kept
    std::vector<std::pair<std::uint32_t, std::uint32_t>> kept;  ///< bin and neuron
    std::vector<std::uint32_t> bins;                            ///< the population's counts
  };

  double correlation(const Population& population) const;

  float dt_;
  std::uint64_t first_, now_;
  std::uint64_t of_pair_, of_fano_;  ///< steps of a bin
  std::vector<Population> populations_;
};

}  // namespace orthospike
