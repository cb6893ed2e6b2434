#pragma once

#include <functional>

#include "sim/network.hpp"
#include "sim/registry.hpp"

namespace orthospike {

/// How errors travel back through a network.
class ErrorFeedback {
 public:
  virtual ~ErrorFeedback() = default;

  /// Errors of the source neurons of a projection, from those of its targets, [N × target neurons], or
  /// straight from those of the read-out, [M × classes]. The result is [N or M × source neurons], at the beginning of
  /// `room`.
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

/// What comes back of errors [N × targets] through a connection with these weights, [N × sources] in `room`.
ConstMatrix error_through(Backend& backend, const Connection& connection, ConstMatrix weights,
                          ConstMatrix error, View<float> room);
/// The same of a dense one, error · weightsᵀ.
ConstMatrix error_through(Backend& backend, ConstMatrix weights, ConstMatrix error, View<float> room);

/// An error that is to come back by a projection, and its weight in the sum of these.
struct ReturningError {
  ConstMatrix by_target;  ///< [N × targets]
  float weight = 1;
};

/// Errors of a population, [N or M × neurons] in `room`: the sum of those that the projections from it to others bring
/// back, divided by the weight of the first, or that which comes straight from the read-out. Where some are the same in all
/// steps and others are not, the former count in each. `further` has the size of `room` where there are several.
Matrix gather_errors(const Network& network, ErrorFeedback& feedback, std::size_t population,
                     const std::function<ReturningError(std::size_t projection)>& returning,
                     ConstMatrix readout_error, View<float> room, View<float> further);

/// Error feedbacks by their config name. The network outlives the feedback.
using ErrorFeedbacks = Registry<ErrorFeedback, const Network&, std::uint64_t /*seed*/>;
ErrorFeedbacks& error_feedbacks();

}  // namespace orthospike
