#pragma once

#include <vector>

#include "learning/feedback/error_feedback.hpp"

namespace orthospike {

/// Errors travel back through fixed random weights, drawn as the forward ones are, see Connection::initial_weights
/// (Lillicrap et al., 2016).
class FeedbackAlignment final : public ErrorFeedback {
 public:
  FeedbackAlignment(const Network& network, std::uint64_t seed);

  ConstMatrix propagate(std::size_t projection, ConstMatrix target_error, ConstMatrix /*readout_error*/,
                        View<float> room) override;

 private:
  const Network& network_;
  std::vector<Array<float>> weights_;  ///< [presynaptic × outputs], one a projection
};

}  // namespace orthospike
