#include "learning/feedback/direct_feedback_alignment.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/random_numbers.hpp"

namespace orthospike {

DirectFeedbackAlignment::DirectFeedbackAlignment(const Network& network, std::uint64_t seed)
    : network_(network) {
  Backend& backend = network.backend();
  const auto& populations = network.populations();
  const auto readout = std::ranges::find(populations, Population::Kind::readout, &Population::kind);
  for (const Population& population : populations) {
    const bool spiking = population.kind == Population::Kind::spiking;
    Array<float>& weights =
        weights_.emplace_back(backend.allocate<float>(spiking ? population.size * readout->size : 0));
    const float bound = 1.0F / std::sqrt(static_cast<float>(population.size));
    backend.random_numbers().run(FillUniform{
        .values = weights.view(),
        .low = -bound,
        .high = bound,
        .key = {seed, RandomPurpose::feedback_weights, static_cast<std::uint32_t>(weights_.size() - 1)}});
  }
}

ConstMatrix DirectFeedbackAlignment::propagate(std::size_t projection, ConstMatrix /*target_error*/,
                                               ConstMatrix readout_error, View<float> room) {
  const std::size_t source = network_.projections()[projection].source;
  return error_through(network_.backend(),
                       weights_[source].matrix(network_.populations()[source].size, readout_error.cols),
                       readout_error, room);
}

}  // namespace orthospike
