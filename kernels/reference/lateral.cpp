#include "kernels/lateral.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/host_view.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void execute(ReferenceBackend&, const Quantise& op) {
  const auto levels = static_cast<float>(op.levels);
  for (float& value : host(op.values))
    value = std::nearbyint(std::clamp(value, -op.scale, op.scale) / op.scale * levels) / levels * op.scale;
}

void execute(ReferenceBackend&, const SpikeSigned& op) {
  for (std::size_t i = 0; i < op.values.size(); ++i) {
    float& value = host(op.values)[i];
    float u = 0;
    float balance = 0;
    std::uint32_t emitted = 0;
    for (std::size_t t = 0; t < op.steps; ++t) {
      u += value;
      if (!(std::abs(u) >= op.scale / 2)) continue;
      balance += std::copysign(1.0F, u);
      u -= std::copysign(op.scale, u);
      ++emitted;
    }
    value = std::isnan(u) ? u : balance / static_cast<float>(op.steps) * op.scale;
    host(op.spikes)[i] = emitted;
  }
}

void execute(ReferenceBackend&, const SettleBySpikes& op) {
  const auto inhibition = host(op.inhibition);
  const std::size_t n = inhibition.cols;
  for (std::size_t row = 0; row < op.potential.rows; ++row) {
    const auto v = host(op.potential).row(row), z = host(op.activity).row(row);
    std::ranges::fill(z, 0.0F);
    bool fired = true;
    for (std::size_t sweep = 0; sweep < op.sweeps && fired; ++sweep) {
      fired = false;
      for (std::size_t i = 0; i < n; ++i) {
        const float spikes = std::nearbyint(v[i] * (1.0F / (op.height * (1.0F + inhibition(i, i)))));
        if (spikes == 0) continue;
        fired = true;
        const float change = spikes * op.height;
        for (std::size_t j = 0; j < n; ++j) v[j] = std::fma(-change, inhibition(i, j), v[j]);
        v[i] -= change;
        z[i] += change;
      }
    }
    if (std::ranges::any_of(v, [](float value) { return std::isnan(value); }))
      std::ranges::fill(z, std::numeric_limits<float>::quiet_NaN());
  }
}

template std::shared_ptr<LateralCircuits> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
