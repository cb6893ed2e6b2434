#include "kernels/delivery.hpp"

#include <algorithm>
#include <vector>

#include "kernels/host_view.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

/// All forms of delivery are the same sum; the reference has only the one over events.
void execute(ReferenceBackend&, const Deliver& op) {
  const auto weights = host(op.weights);
  const auto currents = host(op.currents);
  const float scale = host(op.height)[0] / op.dt;
  std::vector<double> sums(currents.cols);
  for (std::size_t row = 0; row < currents.rows; ++row) {
    std::ranges::fill(sums, 0.0);
    for (const std::uint32_t i : spikes_of_row(op.spikes, row)) {
      for (std::size_t j = 0; j < currents.cols; ++j) sums[j] += weights(i, j);
    }
    for (std::size_t j = 0; j < currents.cols; ++j) currents(row, j) = static_cast<float>(sums[j] * scale);
  }
}

void execute(ReferenceBackend&, const Correlate& op) {
  const auto b = host(op.b);
  const auto c = host(op.c);
  std::vector<double> sums(c.values.size());
  for (std::size_t row = 0; row < b.rows; ++row) {
    for (const std::uint32_t i : spikes_of_row(op.spikes, row)) {
      for (std::size_t j = 0; j < b.cols; ++j) sums[i * b.cols + j] += b(row, j);
    }
  }
  for (std::size_t at = 0; at < sums.size(); ++at) {
    const double kept = op.beta == 0.0F ? 0.0 : static_cast<double>(op.beta) * c.values[at];
    c.values[at] = static_cast<float>(op.alpha * sums[at] + kept);
  }
}

void execute(ReferenceBackend&, const ExpandSpikes& op) {
  const auto x = host(op.x);
  const float value = (op.height.empty() ? 1.0F : host(op.height)[0]) / op.dt;
  std::ranges::fill(x.values, 0.0F);
  for (std::size_t row = 0; row < x.rows; ++row) {
    for (const std::uint32_t i : spikes_of_row(op.spikes, row)) x(row, i) = value;
  }
}

void execute(ReferenceBackend&, const CountSpikes& op) {
  for (const std::uint32_t count : host(op.counts)) host(op.total)[0] += count;
}

template std::shared_ptr<SpikeDelivery> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
