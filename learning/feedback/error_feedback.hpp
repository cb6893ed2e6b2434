#pragma once

#include "sim/network.hpp"
#include "sim/registry.hpp"

namespace orthospike {

/// How errors travel back through a projection.
class ErrorFeedback {
 public:
  virtual ~ErrorFeedback() = default;

  /// source_error [N × source neurons] ← target_error [N × target neurons] through projection `projection`.
  virtual void propagate(std::size_t projection, ConstMatrix target_error, Matrix source_error) = 0;
};

/// Error feedbacks by their config name (key feedback.name). The network outlives the feedback.
Registry<ErrorFeedback, const Network&>& error_feedbacks();

}  // namespace orthospike
