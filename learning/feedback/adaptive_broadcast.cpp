#include "learning/feedback/adaptive_broadcast.hpp"

#include <fmt/format.h>

#include "kernels/error.hpp"

namespace orthospike {

AdaptiveBroadcast::AdaptiveBroadcast(const Network& network, std::uint64_t seed)
    : DirectFeedbackAlignment(network, seed) {
  for (const Projection& projection : network.projections()) {
    const bool spiking = network.populations()[projection.source].kind == Population::Kind::spiking;
    if (spiking && projection.presynaptic() != projection.sources())
      throw ConfigError(fmt::format(
          "feedback.name: weights of adaptive_broadcast learn as those of dense projections do, and {} is none",
          projection.name));
  }
}

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
