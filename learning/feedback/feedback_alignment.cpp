#include "learning/feedback/feedback_alignment.hpp"

namespace orthospike {

FeedbackAlignment::FeedbackAlignment(const Network& network, std::uint64_t seed) : network_(network) {
  Backend& backend = network.backend();
  for (const Projection& projection : network.projections()) {
    Array<float>& weights = weights_.emplace_back(backend.allocate<float>(projection.weights.size()));
    draw(backend, projection.connection->initial_weights(),
         {seed, RandomPurpose::feedback_weights, static_cast<std::uint32_t>(weights_.size() - 1)},
         weights.view());
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
