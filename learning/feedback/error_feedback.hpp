#pragma once

#include "sim/network.hpp"
#include "sim/registry.hpp"

namespace orthospike {

/// How errors travel back through a network.
class ErrorFeedback {
 public:
  virtual ~ErrorFeedback() = default;

  /// Errors of the source neurons of a projection, from those of its targets, [N × target neurons], or
  /// straight from those of the read-out, [M × classes]. The result is [N or M × source neurons], in `room`.
  virtual ConstMatrix propagate(std::size_t projection, ConstMatrix target_error, ConstMatrix readout_error,
                                View<float> room) = 0;
  /// Whether errors come straight from the read-out.
  virtual bool is_direct() const { return false; }
  /// Weights of its own to the source of a projection, [source neurons × classes], that learn as a read-out's
  /// do; empty where there are none.
  virtual Matrix learned_weights(std::size_t /*projection*/) { return {}; }
  /// Fixed weights are drawn anew from the seed.
  virtual void state(Archive& /*archive*/) {}
};

/// error · weightsᵀ in `room`: what comes back through weights [source × target].
ConstMatrix error_through(Backend& backend, ConstMatrix weights, ConstMatrix error, View<float> room);

/// Error feedbacks by their config name. The network outlives the feedback.
using ErrorFeedbacks = Registry<ErrorFeedback, const Network&, std::uint64_t /*seed*/>;
ErrorFeedbacks& error_feedbacks();

}  // namespace orthospike
