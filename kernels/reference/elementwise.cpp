#include "kernels/elementwise.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/host_view.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void execute(ReferenceBackend&, const Add& op) {
  const auto x = host(op.x);
  const auto y = host(op.y);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = op.alpha * x[i] + op.beta * y[i];
}

void execute(ReferenceBackend&, const RaiseTo& op) {
  for (float& value : host(op.values)) value = std::max(value, op.bound);
}

void execute(ReferenceBackend&, const Sign& op) {
  const auto x = host(op.x);
  const auto y = host(op.y);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = x[i] > 0.0F ? op.scale : x[i] < 0.0F ? -op.scale : 0.0F;
}

void execute(ReferenceBackend&, const Modulate& op) {
  const auto factor = host(op.factor);
  const auto x = host(op.x);
  for (std::size_t row = 0; row < x.rows; ++row) {
    for (std::size_t i = 0; i < x.cols; ++i) x(row, i) *= factor(row, factor.cols == 1 ? 0 : i);
  }
}

void execute(ReferenceBackend&, const NormaliseRows& op) {
  const auto x = host(op.x);
  const auto y = host(op.y);
  for (std::size_t row = 0; row < x.rows; ++row) {
    double sum = 0;
    for (const float value : x.row(row)) sum += static_cast<double>(value) * value;
    for (std::size_t i = 0; i < x.cols; ++i)
      y(row, i) = sum == 0 ? 0.0F : static_cast<float>(x(row, i) / std::sqrt(sum));
  }
}

template std::shared_ptr<Elementwise> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
