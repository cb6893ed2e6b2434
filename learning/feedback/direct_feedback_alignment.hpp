#pragma once

#include <vector>

#include "learning/feedback/error_feedback.hpp"

namespace orthospike {

/// The read-out's errors reach each population at once, through fixed random weights uniform within ±1/√n of
/// its n neurons (Nøkland, 2016). With e-prop these are its random broadcast learning signals.
class DirectFeedbackAlignment : public ErrorFeedback {
 public:
  DirectFeedbackAlignment(const Network& network, std::uint64_t seed);

  ConstMatrix propagate(std::size_t projection, ConstMatrix /*target_error*/, ConstMatrix readout_error,
                        View<float> room) override;
  bool is_direct() const override { return true; }

 protected:
  const Network& network_;
  std::vector<Array<float>> weights_;  ///< [neurons × classes], one a population
};

}  // namespace orthospike
