#include "kernels/elementwise.hpp"

#include <cblas.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/host_view.hpp"

namespace orthospike {

namespace {

/// In double, for squares of small errors are too small for a float; in so many sums that they need not wait for each
/// other.
double squared_norm(std::span<const float> x) {
  std::array<double, 16> sums{};
  const std::size_t whole = x.size() / sums.size() * sums.size();
  for (std::size_t first = 0; first < whole; first += sums.size()) {
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(x[first + i]) * x[first + i];
  }
  double sum = std::accumulate(sums.begin(), sums.end(), 0.0);
  for (const float value : x.subspan(whole)) sum += static_cast<double>(value) * value;
  return sum;
}

}  // namespace

void execute(CpuBackend& cpu, const Add& op) {
  const auto x = host(op.x);
  const auto y = host(op.y);
  for_each_range(cpu.pool(), y.size(), elementwise_piece,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   cblas_saxpby(static_cast<int>(last - first), op.alpha, x.data() + first, 1, op.beta,
                                y.data() + first, 1);
                 });
}

void execute(CpuBackend& cpu, const RaiseTo& op) {
  const auto values = host(op.values);
  const float bound = op.bound;
  for_each_range(cpu.pool(), values.size(), elementwise_piece,
                 [=](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t i = first; i < last; ++i) values[i] = std::max(values[i], bound);
                 });
}

void execute(CpuBackend& cpu, const Sign& op) {
  const auto x = host(op.x);
  const auto y = host(op.y);
  const float scale = op.scale;
  for_each_range(cpu.pool(), y.size(), elementwise_piece,
                 [=](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t i = first; i < last; ++i)
                     y[i] = scale * static_cast<float>((x[i] > 0.0F) - (x[i] < 0.0F));
                 });
}

void execute(CpuBackend& cpu, const Modulate& op) {
  const auto factor = host(op.factor);
  const auto x = host(op.x);
  const std::size_t rows = std::max<std::size_t>(1, elementwise_piece / x.cols);
  for_each_range(cpu.pool(), x.rows, rows, [&](std::size_t, std::size_t first, std::size_t last) {
    for (std::size_t row = first; row < last; ++row) {
      const auto to = x.row(row);
      const auto by = factor.row(row);
      if (factor.cols == x.cols) {
        for (std::size_t i = 0; i < to.size(); ++i) to[i] *= by[i];
      } else {
        for (std::size_t i = 0; i < to.size(); ++i) to[i] *= by[0];
      }
    }
  });
}

void execute(CpuBackend& cpu, const NormaliseRows& op) {
  const auto x = host(op.x);
  const auto y = host(op.y);
  const std::size_t rows = std::max<std::size_t>(1, elementwise_piece / x.cols);
  for_each_range(cpu.pool(), x.rows, rows, [&](std::size_t, std::size_t first, std::size_t last) {
    for (std::size_t row = first; row < last; ++row) {
      const auto from = x.row(row);
      const auto to = y.row(row);
      const double sum = squared_norm(from);
      const auto factor = sum == 0 ? 0.0F : static_cast<float>(1 / std::sqrt(sum));
      for (std::size_t i = 0; i < to.size(); ++i) to[i] = factor * from[i];
    }
  });
}

template std::shared_ptr<Elementwise> make_family(CpuBackend&, double&);

}  // namespace orthospike
