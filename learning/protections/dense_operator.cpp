#include "learning/protections/dense_operator.hpp"

namespace orthospike {

DenseOperator::DenseOperator(Backend& backend, std::size_t presynaptic_size)
    : backend_(backend),
      size_(presynaptic_size),
      matrix_(backend.allocate<float>(presynaptic_size * presynaptic_size)),
      one_(backend.allocate<float>(1)) {
  backend.raise_to(1.0F, one_.view());
}

void DenseOperator::set(std::span<const double> matrix) {
  const std::vector<float> rounded(matrix.begin(), matrix.end());
  backend_.upload(std::span<const float>(rounded), matrix_.view());
}

Matrix DenseOperator::product(std::size_t rows, std::size_t cols) {
  if (product_.size() < rows * cols) product_ = backend_.allocate<float>(rows * cols);
  return product_.matrix(rows, cols);
}

ConstMatrix DenseOperator::apply_to_traces(const Presynaptic& traces) {
  const Matrix result = product(traces.rows, traces.cols);
  if (traces.has_events()) {
    backend_.deliver(traces.spikes, matrix(), one_.view(), 1.0F, Delivery::automatic, subspace_crossover,
                     result);
  } else {
    backend_.multiply(1.0F, traces, Transpose::no, matrix(), Transpose::no, 0.0F, result);
  }
  return result;
}

void DenseOperator::apply_to_gradient(Matrix gradient) {
  const Matrix result = product(gradient.rows, gradient.cols);
  backend_.multiply(1.0F, matrix(), Transpose::no, gradient, Transpose::no, 0.0F, result);
  backend_.copy(View<const float>(result.values), gradient.values);
}

}  // namespace orthospike
