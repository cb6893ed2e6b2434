#include "learning/feedback/adaptive_broadcast.hpp"

namespace orthospike {

Matrix AdaptiveBroadcast::learned_weights(std::size_t projection) {
  const Projection& forward = network_.projections()[projection];
  Array<float>& weights = weights_[forward.source];
  if (weights.size() == 0 || forward.is_recurrent()) return {};
  return weights.matrix(forward.fan_in, weights.size() / forward.fan_in);
}

void AdaptiveBroadcast::state(Archive& archive) {
  for (std::size_t i = 0; i < weights_.size(); ++i) archive(network_.populations()[i].name, weights_[i]);
}

}  // namespace orthospike
