#include <algorithm>

#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void ReferenceBackend::do_expand_spikes(ConstSpikes spikes, Matrix x) {
  std::fill_n(x.address(), x.values.size(), 0.0F);
  for (std::size_t row = 0; row < spikes.rows; ++row) {
    for (std::uint32_t event = 0; event < spikes.counts.address()[row]; ++event)
      x.address()[row * x.cols + spikes.indices.address()[row * x.cols + event]] = 1.0F;
  }
}

void ReferenceBackend::do_filter(float decay, std::size_t steps, Matrix x, Matrix last) {
  const std::size_t size = last.values.size();
  for (std::size_t at = 0; at < size; ++at) {
    double trace = last.address()[at];
    for (std::size_t t = 0; t < steps; ++t) {
      trace = decay * trace + x.address()[t * size + at];
      x.address()[t * size + at] = static_cast<float>(trace);
    }
    last.address()[at] = static_cast<float>(trace);
  }
}

void ReferenceBackend::do_filter_back(float decay, std::size_t steps, Matrix x) {
  const std::size_t size = x.values.size() / steps;
  for (std::size_t at = 0; at < size; ++at) {
    double trace = 0;
    for (std::size_t t = steps; t-- > 0;) {
      trace = decay * trace + x.address()[t * size + at];
      x.address()[t * size + at] = static_cast<float>(trace);
    }
  }
}

void ReferenceBackend::do_sum_steps(float scale, float decay, std::size_t steps, ConstMatrix x, Matrix sum) {
  const std::size_t size = sum.values.size();
  for (std::size_t at = 0; at < size; ++at) {
    double total = 0;
    double weight = 0;
    for (std::size_t t = 0; t < steps; ++t) {
      weight = decay * weight + 1.0;
      total += weight * x.address()[t * size + at];
    }
    sum.address()[at] = static_cast<float>(scale * total);
  }
}

}  // namespace orthospike
