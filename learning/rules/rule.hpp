#pragma once

#include "learning/feedback/error_feedback.hpp"
#include "sim/clock_engine.hpp"
#include "sim/registry.hpp"

namespace orthospike {

/// What a rule says about one projection after a batch. The gradient of the loss by its weights, stored
/// [source × target], is traceᵀ · post: a sum over N rows of outer products.
struct WeightGradient {
  ConstMatrix post;   ///< [N × target neurons] postsynaptic factors
  ConstMatrix trace;  ///< [N × source neurons] presynaptic traces
  ConstMatrix
      activity;  ///< [N' × source neurons] presynaptic activity that trains the subspace; may be `trace`
};

/// A training rule: turns the last batch's activity and the error at the read-out into gradients. It changes
/// no weights, so that any protection can stand between.
class Rule {
 public:
  virtual ~Rule() = default;

  /// logit_gradient: [batch × classes], the gradient of the loss by the logits of the engine's last batch.
  virtual void backward(const ClockEngine& engine, ConstMatrix logit_gradient) = 0;

  /// Valid until the next batch.
  virtual WeightGradient weight_gradient(std::size_t projection) const = 0;
  /// [1] gradient by the threshold of a population, empty where the rule has none.
  virtual View<const float> threshold_gradient(std::size_t population) const = 0;
};

/// Rules by their config name (key rule.name). The network, the error feedback and the back end outlive the
/// rule.
Registry<Rule, const Network&, ErrorFeedback&, std::size_t /*max_batch*/>& rules();

}  // namespace orthospike
