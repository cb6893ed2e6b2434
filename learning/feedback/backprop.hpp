#pragma once

#include "learning/feedback/error_feedback.hpp"

namespace orthospike {

/// Errors travel back through the forward weights themselves: source_error = target_error · W.
class Backprop final : public ErrorFeedback {
 public:
  explicit Backprop(const Network& network) : network_(network) {}

  void propagate(std::size_t projection, ConstMatrix target_error, Matrix source_error) override {
    network_.backend().multiply(1.0F, target_error, Transpose::no,
                                network_.projections()[projection].matrix(), Transpose::yes, 0.0F,
                                source_error);
  }

 private:
  const Network& network_;
};

}  // namespace orthospike
