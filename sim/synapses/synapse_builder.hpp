#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/synapses.hpp"
#include "sim/synapses/connection_rule.hpp"
#include "sim/synapses/distribution.hpp"

namespace orthospike {

/// Synapses that one rule makes, all with weights and delays of the same distributions.
struct SynapseSpec {
  std::string name;  ///< for messages
  ConnectedRanges ranges;
  ConnectionRule rule;
  Distribution weight;
  Distribution delay;        ///< ms
  std::uint32_t number = 0;  ///< of the projection, below 2²⁴: what tells its random numbers from others'
};

/// A table of synapses in a back end's memory, which must outlive it.
class Synapses {
 public:
  SynapseTable table() const;
  /// That it takes.
  std::size_t bytes() const;

 private:
  friend class SynapseBuilder;
  std::size_t sources_ = 0, targets_ = 0, block_ = 1;
  bool own_weights_ = false;
  Array<std::uint32_t> delays_, starts_;
  Array<std::uint16_t> within_;
  Array<float> weights_;
};

/// All synapses of the specs, whose ranges are of the same groups of neurons; where several have the same pair, it has all of
/// theirs. Delays are rounded to steps of dt (ms). What a synapse is depends on the seed, its spec and its place in the row of
/// ConnectionRows alone: draws are of the element row · 2³² + place, the weight's of half 0, the delay's of half 1. Those of
/// the same source, target and delay follow each other as the specs do.
///
/// Throws ConfigError for rules that do not fit their ranges, for delays that are not from 1 to 65535 steps, and for more than
/// 2³² - 1 synapses. block: targets of a block of the table.
Synapses build_synapses(Backend& backend, const std::vector<SynapseSpec>& specs, std::size_t sources,
                        std::size_t targets, double dt, std::uint64_t seed, std::size_t block = 16384);

}  // namespace orthospike
