#include <vector>

#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

/// Both forms of delivery are the same sum; the reference has only the one over events.
void ReferenceBackend::do_deliver(ConstSpikes spikes, ConstMatrix weights, View<const float> height, float dt,
                                  Delivery /*delivery*/, float /*crossover*/, Matrix currents) {
  const std::size_t targets = currents.cols;
  std::vector<double> sums(targets);
  for (std::size_t row = 0; row < spikes.rows; ++row) {
    sums.assign(targets, 0.0);
    const std::uint32_t* events = spikes.indices.address() + row * spikes.neurons;
    for (std::uint32_t event = 0; event < spikes.counts.address()[row]; ++event) {
      const float* outgoing = weights.address() + events[event] * targets;
      for (std::size_t j = 0; j < targets; ++j) sums[j] += outgoing[j];
    }
    for (std::size_t j = 0; j < targets; ++j) {
      currents.address()[row * targets + j] = static_cast<float>(sums[j] * (height.address()[0] / dt));
    }
  }
}

void ReferenceBackend::do_correlate(float alpha, ConstSpikes spikes, ConstMatrix b, float beta, Matrix c) {
  std::vector<double> sums(c.values.size(), 0.0);
  for (std::size_t row = 0; row < spikes.rows; ++row) {
    const std::uint32_t* events = spikes.indices.address() + row * spikes.neurons;
    for (std::uint32_t event = 0; event < spikes.counts.address()[row]; ++event) {
      for (std::size_t j = 0; j < c.cols; ++j)
        sums[events[event] * c.cols + j] += b.address()[row * c.cols + j];
    }
  }
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const double before = beta == 0.0F ? 0.0 : static_cast<double>(beta) * c.address()[i];
    c.address()[i] = static_cast<float>(alpha * sums[i] + before);
  }
}

}  // namespace orthospike
