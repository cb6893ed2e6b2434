#pragma once

#include "learning/feedback/error_feedback.hpp"

namespace orthospike {

/// Errors travel back through the forward weights themselves.
class Backprop final : public ErrorFeedback {
 public:
  explicit Backprop(const Network& network, std::uint64_t /*seed*/ = 0) : network_(network) {}

  ConstMatrix propagate(std::size_t projection, ConstMatrix target_error, ConstMatrix /*readout_error*/,
                        View<float> room) override {
    const Projection& forward = network_.projections()[projection];
    return error_through(network_.backend(), *forward.connection, forward.matrix(), target_error, room);
  }

 private:
  const Network& network_;
};

}  // namespace orthospike
