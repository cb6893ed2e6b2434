#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cpu/thread_pool.hpp"
#include "kernels/random_key.hpp"
#include "sim/settings.hpp"

namespace orthospike {

/// Sources and targets that a rule connects: ranges of the neurons of two groups.
struct ConnectedRanges {
  std::size_t first_source = 0, sources = 0;
  std::size_t first_target = 0, targets = 0;
  bool same_group = false;  ///< source i is the same neuron as target i: a synapse between them is an autapse

  /// Sources that are targets, too.
  std::size_t shared() const;
};

/// Which synapses there are, as NEST's rules of these names have it.
struct ConnectionRule {
  enum class Kind {
    all_to_all,
    one_to_one,
    pairwise_bernoulli,
    fixed_indegree,
    fixed_outdegree,
    fixed_total_number
  };

  Kind kind = Kind::all_to_all;
  double probability = 0;    ///< of pairwise_bernoulli
  std::uint64_t number = 0;  ///< of fixed_indegree, fixed_outdegree and fixed_total_number
  bool autapses = true;      ///< whether a neuron may have synapses to itself
  bool multapses = true;     ///< whether a pair may have several, with the rules that draw a number

  /// Throws ConfigError, which begins with `name`, where the rule cannot be followed on these ranges.
  void check(const ConnectedRanges& ranges, const std::string& name) const;
  /// How many synapses it makes on ranges that fit it; with pairwise_bernoulli on average.
  double synapses(const ConnectedRanges& ranges) const;
};

/// Words for rules, which a config has.
const std::vector<Word<ConnectionRule::Kind>>& connection_rules();

/// The synapses that a rule makes, row by row: a row has those of a source, with fixed_indegree those of a target. Each is
/// drawn from the key, whose stream is a multiple of 256, and its number alone: it is the same whenever it is asked for.
class ConnectionRows {
 public:
  /// What a row is drawn into, and what that takes; to be used again.
  struct Row {
    std::vector<std::uint32_t> partners;  ///< targets, or sources, counted from the first of their range
    std::vector<std::uint64_t> taken;     ///< bits, all 0 between rows
  };

  /// For ranges that fit the rule.
  ConnectionRows(const ConnectionRule& rule, const ConnectedRanges& ranges, const RandomKey& key,
                 ThreadPool& pool);

  bool of_targets() const { return rule_.kind == ConnectionRule::Kind::fixed_indegree; }
  std::size_t rows() const { return of_targets() ? ranges_.targets : ranges_.sources; }
  void draw(std::size_t r, Row& row) const;

 private:
  /// How many synapses of a fixed total number each source gets.
  void divide_among_sources(ThreadPool& pool);

  ConnectionRule rule_;
  ConnectedRanges ranges_;
  RandomKey key_;
  std::vector<std::uint32_t> of_source_;  ///< [sources] of a fixed total number
};

}  // namespace orthospike
