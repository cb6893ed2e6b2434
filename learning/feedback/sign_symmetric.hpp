#pragma once

#include "learning/feedback/error_feedback.hpp"

namespace orthospike {

/// Errors travel back through the signs of the forward weights, times the scale that these are drawn with: 1/√presynaptic
/// of a dense projection, √(2 / (kernel² · channels)) of a convolution (Liao et al., 2016; Xiao et al., ICLR 2024).
class SignSymmetric final : public ErrorFeedback {
 public:
  explicit SignSymmetric(const Network& network, std::uint64_t /*seed*/ = 0) : network_(network) {}

  ConstMatrix propagate(std::size_t projection, ConstMatrix target_error, ConstMatrix /*readout_error*/,
                        View<float> room) override;

 private:
  const Network& network_;
  Array<float> signs_;  ///< [largest projection]
};

}  // namespace orthospike
