#pragma once

#include <vector>

#include "kernels/target.hpp"
#include "learning/communicator.hpp"
#include "learning/feedback/error_feedback.hpp"
#include "sim/clock_engine.hpp"
#include "sim/connections/pairs.hpp"
#include "sim/registry.hpp"

namespace orthospike {

/// What a rule says about one projection after a batch. The gradient of the loss by its weights is a sum over N rows:
/// Connection::pairs of trace and post, which is traceᵀ · post for a dense one.
struct WeightGradient {
  ConstMatrix post;      ///< [N × target neurons] postsynaptic factors
  Presynaptic trace;     ///< [N × source neurons] presynaptic traces
  Presynaptic activity;  ///< [N' × source neurons] what trains the subspace; may be `trace`
};

/// What every rule is made for.
struct RuleContext {
  std::uint64_t seed = 0;
  std::size_t max_batch = 0;
  Clock clock = {};
  /// Whether traces must hold what gradients need of the past: where weights change within a sample, or where
  /// traces do not enter linearly. If not, a rule may put the past into its postsynaptic factors instead, which
  /// gives the same sums.
  bool past_in_traces = true;
  Communicator& ranks = alone();
};

/// A training rule: turns activity and the error at the read-out into gradients. It changes no weights, so
/// that any protection can stand between.
class Rule {
 public:
  struct Traits {
    bool reads_feedback = true;  ///< whether errors come back by an error feedback
    bool readout_may_leak = true;
  };

  virtual ~Rule() = default;

  /// What the engine has to keep for `backward`.
  virtual Recording recording() const { return {}; }
  /// Whether the loss is the mean of that of each step's logits, instead of that of their mean.
  virtual bool has_step_losses() const { return false; }
  /// Whether gradients of the steps of one run need nothing of later steps: weights may then change within
  /// a sample.
  virtual bool is_online() const { return false; }
  /// Steps that one run before `backward` may have at most, of a sample's `steps`: all, unless gradients need nothing
  /// of later steps and memory need not grow with time.
  virtual std::size_t most_steps(std::size_t steps) const { return steps; }
  /// Most rows N or N' of a gradient.
  virtual std::size_t max_rows() const = 0;

  /// From the engine's last run. readout_error: the gradient of the batch's loss by its logits, [batch × classes], or,
  /// with step losses, by those of each step, [steps·batch × classes]. targets [batch].
  virtual void backward(const ClockEngine& engine, ConstMatrix readout_error, View<const Target> targets) = 0;
  /// Instead, on a rank of a run that has no sample of the batch: sums with the others what they sum.
  virtual void backward_of_none() {}
  /// The batch has so many samples on all ranks of the run together, of which the engine runs some; its gradients are
  /// this rank's part of those of all.
  void share_batch(std::size_t samples_of_ranks) { samples_of_ranks_ = samples_of_ranks; }

  /// Valid until the next batch.
  virtual WeightGradient weight_gradient(std::size_t projection) const = 0;
  /// None where each batch is on its own.
  virtual void state(Archive& /*archive*/) {}
  /// By what of a population trains beside weights; empty where the rule has none.
  struct PopulationGradient {
    View<const float> threshold;     ///< [1]
    View<const float> gain, offset;  ///< [channels], of its normalisation
  };
  virtual PopulationGradient population_gradient(std::size_t /*population*/) const { return {}; }

 protected:
  /// Samples that a mean over the batch is of.
  std::size_t all_samples(const ClockEngine& engine) const {
    return samples_of_ranks_ == 0 ? engine.batch() : samples_of_ranks_;
  }

 private:
  std::size_t samples_of_ranks_ = 0;  ///< 0: the engine has them all
};

/// Rules by their config name. The network, the error feedback and the back end outlive the rule.
using Rules = Registry<Rule, const Network&, ErrorFeedback&, const RuleContext&>;
Rules& rules();

}  // namespace orthospike
