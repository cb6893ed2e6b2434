#include "learning/feedback/feedback_alignment.hpp"

#include <cmath>

#include "kernels/random_numbers.hpp"

namespace orthospike {

FeedbackAlignment::FeedbackAlignment(const Network& network, std::uint64_t seed) : network_(network) {
  Backend& backend = network.backend();
  for (const Projection& projection : network.projections()) {
    Array<float>& weights = weights_.emplace_back(backend.allocate<float>(projection.weights.size()));
    const float bound = 1.0F / std::sqrt(static_cast<float>(projection.presynaptic()));
    backend.random_numbers().run(FillUniform{
        .values = weights.view(),
        .low = -bound,
        .high = bound,
        .key = {seed, RandomPurpose::feedback_weights, static_cast<std::uint32_t>(weights_.size() - 1)}});
  }
}

ConstMatrix FeedbackAlignment::propagate(std::size_t projection, ConstMatrix target_error,
                                         ConstMatrix /*readout_error*/, View<float> room) {
  const Projection& forward = network_.projections()[projection];
  const Connection& connection = *forward.connection;
  return error_through(network_.backend(), connection,
                       weights_[projection].matrix(connection.presynaptic(), connection.outputs()),
                       target_error, room);
}

}  // namespace orthospike
