#include "learning/protections/damping_operator.hpp"

#include "learning/protections/symmetric.hpp"

namespace orthospike {

DampingOperator::DampingOperator(Backend& backend, const Projection& projection)
    : backend_(backend),
      projection_(projection.name),
      size_(projection.fan_in),
      matrix_(backend.allocate<float>(size_ * size_)),
      one_(backend.allocate<float>(1)) {
  backend.raise_to(1.0F, one_.view());
}

void DampingOperator::set(const std::vector<double>& moments, double lambda) {
  const std::vector<double> inverse = damped_inverse(projection_, moments, lambda, size_);
  const std::vector<float> rounded(inverse.begin(), inverse.end());
  backend_.upload(std::span<const float>(rounded), matrix_.view());
  effective_rank_ = static_cast<double>(size_) - trace(inverse, size_);
}

Matrix DampingOperator::product(std::size_t rows, std::size_t cols) {
  if (product_.size() < rows * cols) product_ = backend_.allocate<float>(rows * cols);
  return product_.matrix(rows, cols);
}

ConstMatrix DampingOperator::apply_to_traces(const Presynaptic& traces) {
  const Matrix result = product(traces.rows, traces.cols);
  if (traces.has_events()) {
    backend_.deliver(traces.spikes, matrix(), one_.view(), 1.0F, Delivery::automatic, subspace_crossover,
                     result);
  } else {
    backend_.multiply(1.0F, traces, Transpose::no, matrix(), Transpose::no, 0.0F, result);
  }
  return result;
}

void DampingOperator::apply_to_gradient(Matrix gradient) {
  const Matrix result = product(gradient.rows, gradient.cols);
  backend_.multiply(1.0F, matrix(), Transpose::no, gradient, Transpose::no, 0.0F, result);
  backend_.copy(View<const float>(result.values), gradient.values);
}

}  // namespace orthospike
