#include "learning/protections/damping_operator.hpp"

#include <cmath>
#include <utility>

#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "learning/protections/symmetric.hpp"

namespace orthospike {

DampingOperator::DampingOperator(Backend& backend, std::string projection, std::size_t size)
    : backend_(backend),
      projection_(std::move(projection)),
      size_(size),
      matrix_(backend.allocate<float>(size_ * size_)),
      one_(backend.allocate<float>(1)) {
  backend.elementwise().run(RaiseTo{.bound = 1.0F, .values = one_.view()});
}

void DampingOperator::set(const std::vector<double>& moments, double lambda) {
  const std::vector<double> inverse = damped_inverse(projection_, moments, lambda, size_);
  const std::vector<float> rounded(inverse.begin(), inverse.end());
  backend_.upload(std::span<const float>(rounded), matrix_.view());
  effective_rank_ = static_cast<double>(size_) - trace(inverse, size_);
}

void DampingOperator::set(ConstMatrix axes, const std::vector<double>& gains) {
  std::vector<float> roots(size_);
  effective_rank_ = 0;
  for (std::size_t i = 0; i < size_; ++i) {
    roots[i] = static_cast<float>(std::sqrt(gains[i]));
    effective_rank_ += 1 - gains[i];
  }
  Array<float> factor = backend_.allocate<float>(size_);
  backend_.upload(std::span<const float>(roots), factor.view());
  const Matrix scaled = grown(backend_, product_, size_, size_);
  backend_.copy(axes.values, scaled.values);
  backend_.elementwise().run(Modulate{.factor = std::as_const(factor).matrix(size_, 1), .x = scaled});
  backend_.dense().run(
      Multiply{.a = scaled, .transpose_a = true, .b = scaled, .c = matrix_.matrix(size_, size_)});
}

void DampingOperator::apply(const Presynaptic& traces, Matrix result) {
  if (traces.has_events()) {
    backend_.delivery().run(Deliver{.spikes = traces.spikes,
                                    .weights = matrix(),
                                    .height = one_.view(),
                                    .crossover = subspace_crossover,
                                    .currents = result});
  } else {
    backend_.dense().run(Multiply{.a = traces, .b = matrix(), .c = result});
  }
}

ConstMatrix DampingOperator::apply_to_traces(const Presynaptic& traces) {
  const Matrix result = grown(backend_, product_, traces.rows, traces.cols);
  apply(traces, result);
  return result;
}

void DampingOperator::apply_to_gradient(Matrix gradient) {
  const Matrix result = grown(backend_, product_, gradient.rows, gradient.cols);
  backend_.dense().run(Multiply{.a = matrix(), .b = gradient, .c = result});
  backend_.copy(View<const float>(result.values), gradient.values);
}

}  // namespace orthospike
