#include "kernels/subspaces.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/dense.hpp"
#include "kernels/host_view.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void execute(ReferenceBackend&, const RemoveSubspace& op) {
  const auto h = host(op.h), x = host(op.x);
  for (std::size_t row = 0; row < x.rows; ++row) {
    std::vector<double> left(x.row(row).begin(), x.row(row).end());
    for (std::size_t m = 0; m < h.rows; ++m) {
      double response = 0;
      for (std::size_t j = 0; j < x.cols; ++j) response += static_cast<double>(h(m, j)) * x(row, j);
      for (std::size_t j = 0; j < x.cols; ++j) left[j] -= response * h(m, j);
    }
    std::ranges::copy(left, host(op.residual).row(row).begin());
  }
}

void execute(ReferenceBackend&, const FollowCorrelation& op) {
  const auto& [learning_rate, momentum, scale, clamp] = op.rates;
  for (std::size_t i = 0; i < op.h.values.size(); ++i) {
    const float change = std::clamp(scale * host(op.correlation).values[i], -clamp, clamp);
    float& v = host(op.velocity).values[i];
    v = momentum * v + (1.0F - momentum) * change;
    host(op.h).values[i] += learning_rate * v;
  }
}

void execute(ReferenceBackend& reference, const HebbianStep& op) {
  std::vector<float> correlation(op.h.values.size());
  const Matrix c{{correlation.data(), correlation.size()}, op.h.rows, op.h.cols};
  execute(reference, Multiply{.a = op.response, .transpose_a = true, .b = op.residual, .c = c});
  execute(reference,
          FollowCorrelation{.rates = op.rates, .correlation = c, .velocity = op.velocity, .h = op.h});
}

void execute(ReferenceBackend&, const OrthonormaliseRows& op) {
  const auto h = host(op.h);
  for (std::size_t i = op.first; i < h.rows; ++i) {
    std::vector<double> row(h.row(i).begin(), h.row(i).end());
    for (int pass = 0; pass < 2; ++pass) {
      const std::vector<double> before = row;
      for (std::size_t k = 0; k < i; ++k) {
        double overlap = 0;
        for (std::size_t j = 0; j < h.cols; ++j) overlap += before[j] * h(k, j);
        for (std::size_t j = 0; j < h.cols; ++j) row[j] -= overlap * h(k, j);
      }
      double norm = 0;
      for (const double value : row) norm += value * value;
      for (double& value : row) value /= std::sqrt(norm);
    }
    std::ranges::copy(row, h.row(i).begin());
  }
}

template std::shared_ptr<SubspaceSteps> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
