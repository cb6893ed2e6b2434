#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void ReferenceBackend::do_remove_subspace(ConstMatrix h, ConstMatrix x, Matrix residual) {
  const std::size_t n = x.cols;
  std::vector<double> left(n);
  for (std::size_t row = 0; row < x.rows; ++row) {
    const float* input = x.address() + row * n;
    left.assign(input, input + n);
    for (std::size_t m = 0; m < h.rows; ++m) {
      const float* neuron = h.address() + m * n;
      double response = 0;
      for (std::size_t j = 0; j < n; ++j) response += static_cast<double>(neuron[j]) * input[j];
      for (std::size_t j = 0; j < n; ++j) left[j] -= response * neuron[j];
    }
    std::copy(left.begin(), left.end(), residual.address() + row * n);
  }
}

void ReferenceBackend::do_quantise(float scale, std::size_t levels, View<float> values) {
  const auto top = static_cast<float>(levels);
  for (std::size_t i = 0; i < values.size(); ++i) {
    float& value = values.address()[i];
    value = std::nearbyint(std::clamp(value, -scale, scale) / scale * top) / top * scale;
  }
}

void ReferenceBackend::do_spike_signed(float scale, std::size_t steps, View<float> values,
                                       View<std::uint32_t> spikes) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float current = values.address()[i];
    float u = 0;
    float balance = 0;
    std::uint32_t emitted = 0;
    for (std::size_t t = 0; t < steps; ++t) {
      u += current;
      if (!(std::abs(u) >= scale / 2)) continue;
      balance += std::copysign(1.0F, u);
      u -= std::copysign(scale, u);
      ++emitted;
    }
    values.address()[i] = std::isnan(u) ? u : balance / static_cast<float>(steps) * scale;
    spikes.address()[i] = emitted;
  }
}

void ReferenceBackend::do_settle_by_spikes(float height, std::size_t sweeps, ConstMatrix inhibition,
                                           Matrix potential, Matrix activity) {
  const std::size_t n = inhibition.cols;
  for (std::size_t row = 0; row < potential.rows; ++row) {
    float* const v = potential.address() + row * n;
    float* const z = activity.address() + row * n;
    std::fill(z, z + n, 0.0F);
    bool fired = true;
    for (std::size_t sweep = 0; sweep < sweeps && fired; ++sweep) {
      fired = false;
      for (std::size_t i = 0; i < n; ++i) {
        const float* const weights = inhibition.address() + i * n;
        const float spikes = std::nearbyint(v[i] * (1.0F / (height * (1.0F + weights[i]))));
        if (spikes == 0) continue;
        fired = true;
        const float change = spikes * height;
        for (std::size_t j = 0; j < n; ++j) v[j] = std::fma(-change, weights[j], v[j]);
        v[i] -= change;
        z[i] += change;
      }
    }
    if (std::any_of(v, v + n, [](float value) { return std::isnan(value); }))
      std::fill(z, z + n, std::numeric_limits<float>::quiet_NaN());
  }
}

void ReferenceBackend::do_hebbian_step(const HebbianStep& step, ConstMatrix correlation, Matrix velocity,
                                       Matrix h) {
  for (std::size_t i = 0; i < h.values.size(); ++i) {
    const float change = std::clamp(step.scale * correlation.address()[i], -step.clamp, step.clamp);
    float& v = velocity.address()[i];
    v = step.momentum * v + (1.0F - step.momentum) * change;
    h.address()[i] += step.learning_rate * v;
  }
}

void ReferenceBackend::do_hebbian_step(const HebbianStep& step, ConstMatrix response, ConstMatrix residual,
                                       Matrix velocity, Matrix h) {
  std::vector<float> correlation(h.values.size());
  const Matrix product{{correlation.data(), correlation.size()}, h.rows, h.cols};
  do_multiply(1.0F, response, Transpose::yes, residual, Transpose::no, 0.0F, product, product);
  do_hebbian_step(step, product, velocity, h);
}

void ReferenceBackend::do_orthonormalise_rows(Matrix h, std::size_t first) {
  const std::size_t n = h.cols;
  std::vector<double> row(n);
  for (std::size_t i = first; i < h.rows; ++i) {
    float* const target = h.address() + i * n;
    row.assign(target, target + n);
    for (int pass = 0; pass < 2; ++pass) {
      const std::vector<double> before = row;
      for (std::size_t k = 0; k < i; ++k) {
        const float* earlier = h.address() + k * n;
        double overlap = 0;
        for (std::size_t j = 0; j < n; ++j) overlap += before[j] * earlier[j];
        for (std::size_t j = 0; j < n; ++j) row[j] -= overlap * earlier[j];
      }
      double norm = 0;
      for (const double value : row) norm += value * value;
      for (double& value : row) value /= std::sqrt(norm);
    }
    std::copy(row.begin(), row.end(), target);
  }
}

}  // namespace orthospike
