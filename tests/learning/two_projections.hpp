#pragma once

#include <vector>

#include "learning/protections/protection.hpp"
#include "tests/conformance/backends.hpp"
#include "tests/plain_neurons.hpp"

namespace orthospike::testing {

/// The part of a network that a protection looks at: two projections.
struct TwoProjections {
  static constexpr std::size_t sizes[] = {24, 37, 5};
  static constexpr std::size_t batch = 12;

  explicit TwoProjections(Backend& b) : backend(b), network(b) {
    const PlainNeurons neuron{
        .steps = 5, .dt = 0.1F, .tau = 1.0F, .threshold = 1.0F, .firing_fraction = 1.0F};
    network.add_population(
        {.name = "in", .size = sizes[0], .kind = Population::Kind::input, .neuron = nullptr});
    network.add_population({.name = "hidden",
                            .size = sizes[1],
                            .kind = Population::Kind::spiking,
                            .neuron = neuron.make("lif_dsr", backend)});
    network.add_population(
        {.name = "out", .size = sizes[2], .kind = Population::Kind::readout, .neuron = nullptr});
    network.add_projection("first", 0, 1);
    network.add_projection("second", 1, 2);
  }

  /// Of a protection that keeps both.
  ProtectionContext context(std::size_t max_rows = 0, std::uint64_t seed = 0) const {
    return {.backend = backend, .projections = network.projections(), .seed = seed, .max_rows = max_rows};
  }

  /// What the operator makes of the unit vectors: its matrix [n × n].
  std::vector<double> matrix_of(PresynapticOperator& on, std::size_t n) {
    std::vector<float> identity(n * n, 0.0F);
    for (std::size_t i = 0; i < n; ++i) identity[i * n + i] = 1;
    const auto x = uploaded(backend, identity);
    const std::vector<float> matrix = backend.download(on.apply_to_traces(x.matrix(n, n)).values);
    return {matrix.begin(), matrix.end()};
  }

  Backend& backend;
  Network network;
};

using Doubles = std::vector<double>;

/// sum ← sum + scale · xᵀ x
inline void add_moment(const std::vector<float>& x, std::size_t n, double scale, Doubles& sum) {
  for (std::size_t row = 0; row < x.size() / n; ++row) {
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j)
        sum[i * n + j] += scale * static_cast<double>(x[row * n + i]) * x[row * n + j];
    }
  }
}

/// a · b of matrices [n × n].
inline Doubles product(const Doubles& a, const Doubles& b, std::size_t n) {
  Doubles c(n * n, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < n; ++k) {
      for (std::size_t j = 0; j < n; ++j) c[i * n + j] += a[i * n + k] * b[k * n + j];
    }
  }
  return c;
}

inline Doubles identity(std::size_t n) {
  Doubles matrix(n * n, 0.0);
  for (std::size_t i = 0; i < n; ++i) matrix[i * n + i] = 1;
  return matrix;
}

/// The largest entry of |h hᵀ - I|.
inline double orthonormality_error(const std::vector<float>& h, std::size_t n) {
  double largest = 0;
  for (std::size_t a = 0; a < h.size() / n; ++a) {
    for (std::size_t b = 0; b < h.size() / n; ++b) {
      double product = a == b ? -1 : 0;
      for (std::size_t i = 0; i < n; ++i) product += static_cast<double>(h[a * n + i]) * h[b * n + i];
      largest = std::max(largest, std::abs(product));
    }
  }
  return largest;
}

/// Activity that uses some directions more than others.
inline std::vector<float> uneven_activity(std::size_t rows, std::size_t n, std::uint32_t seed) {
  std::vector<float> x = random_values(rows * n, seed);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = (x[i] + 0.4F) / static_cast<float>(1 + i % n);
  return x;
}

/// Shows the first projection each task's batches and ends it; then the next begins.
inline void learn(Backend& backend, Protection& protection, const std::vector<std::vector<float>>& tasks) {
  constexpr std::size_t n = TwoProjections::sizes[0], batch = TwoProjections::batch;
  for (std::size_t task = 0; task < tasks.size(); ++task) {
    protection.begin_task(task);
    const auto x = uploaded(backend, tasks[task]);
    for (std::size_t row = 0; row < tasks[task].size() / n; row += batch)
      protection.observe(0, x.matrix(tasks[task].size() / n, n).row_range(row, batch), {});
    protection.end_task();
  }
  protection.begin_task(tasks.size());
}

/// The second has its neurons in the opposite order.
inline std::vector<std::vector<float>> two_tasks() {
  constexpr std::size_t n = TwoProjections::sizes[0], batch = TwoProjections::batch;
  std::vector<float> second = uneven_activity(3 * batch, n, 2);
  for (auto row = second.begin(); row != second.end(); row += n) std::reverse(row, row + n);
  return {uneven_activity(5 * batch, n, 1), second};
}

}  // namespace orthospike::testing
