#pragma once

#include <cstdint>

#include "kernels/family.hpp"
#include "kernels/target.hpp"

namespace orthospike {

/// Softmax cross-entropy of logits, row step · batch + b, against targets[b], first <= label <= last < classes. Only the
/// logits first … last of a row take part: as if there were no others,
/// logit_gradient ← weight · (softmax - one-hot) / rows; loss[0] += weight · Σ over samples of the mean loss over the
/// steps; correct[0] += rows whose largest logit is the label's (the first of equals counts as largest; none when a
/// logit is NaN). Elsewhere logit_gradient ← 0.
struct CrossEntropy {
  ConstMatrix logits;          ///< [steps·batch × classes]
  View<const Target> targets;  ///< [batch]
  float weight = 1;
  Matrix logit_gradient;  ///< [steps·batch × classes]
  View<double> loss;
  View<std::uint32_t> correct;

  void check() const {
    require(same_shape(logits, logit_gradient) &&
                (logits.rows == 0 || (!targets.empty() && logits.rows % targets.size() == 0)),
            "cross_entropy", "logits and gradient do not have one row for each step and sample");
    require(loss.size() == 1 && correct.size() == 1, "cross_entropy",
            "loss and correct are not one number each");
  }
  bool empty() const { return logits.empty(); }
};

/// right[b] ← 1 where CrossEntropy counts row b of the logits as correct, else 0.
struct MarkCorrect {
  ConstMatrix logits;          ///< [batch × classes]
  View<const Target> targets;  ///< [batch]
  View<float> right;           ///< [batch]

  void check() const {
    require(logits.rows == targets.size() && right.size() == targets.size(), "mark_correct",
            "logits, targets and right differ in number");
  }
  bool empty() const { return logits.empty(); }
};

struct Loss : Family<CrossEntropy, MarkCorrect> {
  using Family::Family;
};

}  // namespace orthospike
