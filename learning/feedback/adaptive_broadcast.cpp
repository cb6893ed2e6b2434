#include "learning/feedback/adaptive_broadcast.hpp"

namespace orthospike {

Matrix AdaptiveBroadcast::learned_weights(std::size_t projection) {
  const Projection& forward = network_.projections()[projection];
  Array<float>& weights = weights_[forward.source];
  if (weights.size() == 0 || projection != network_.projections_from(forward.source).front()) return {};
  const std::size_t neurons = network_.populations()[forward.source].size;
  return weights.matrix(neurons, weights.size() / neurons);
}

void AdaptiveBroadcast::state(Archive& archive) {
  for (std::size_t i = 0; i < weights_.size(); ++i) archive(network_.populations()[i].name, weights_[i]);
}

}  // namespace orthospike
