#include "learning/protections/subspace_operator.hpp"

namespace orthospike {

SubspaceOperator::SubspaceOperator(Backend& backend, LateralNeurons& neurons, const Subspace& subspace,
                                   std::size_t max_rows)
    : backend_(backend),
      neurons_(neurons),
      subspace_(subspace),
      residual_(backend.allocate<float>(max_rows * subspace.presynaptic_size())),
      one_(backend.allocate<float>(1)) {
  backend.raise_to(1.0F, one_.view());
}

ConstMatrix SubspaceOperator::residual_of(const Presynaptic& x) {
  if (subspace_.old_rank() == 0) return x;
  const Matrix result = residual_.matrix(x.rows, x.cols);
  if (x.address() != residual_source_.address() || x.rows != residual_source_.rows) {
    remove_responses(x, result);
    residual_source_ = x;
  }
  return result;
}

void SubspaceOperator::remove_responses(const Presynaptic& x, Matrix result) {
  const ConstMatrix h = subspace_.old_rows();
  if (neurons_.linear() && !x.has_events() && scale_ == 1) {
    backend_.remove_subspace(h, x, result);
    return;
  }
  const Matrix y = responses(x.rows, h.rows);
  if (x.has_events()) {
    backend_.deliver(x.spikes, subspace_.old_rows_transposed(), one_.view(), 1.0F, Delivery::automatic,
                     subspace_crossover, y);
  } else {
    backend_.multiply(1.0F, x, Transpose::no, h, Transpose::yes, 0.0F, y);
  }
  neurons_.respond(y);
  backend_.multiply(-scale_, y, Transpose::no, h, Transpose::no, scale_, x, result);
}

Matrix SubspaceOperator::responses(std::size_t rows, std::size_t cols) {
  if (response_.size() < rows * cols) response_ = backend_.allocate<float>(rows * cols);
  return response_.matrix(rows, cols);
}

ConstMatrix SubspaceOperator::apply_to_traces(const Presynaptic& traces) {
  forget();
  return residual_of(traces);
}

void SubspaceOperator::apply_to_gradient(Matrix gradient) {
  const ConstMatrix h = subspace_.old_rows();
  const Matrix y = responses(h.rows, gradient.cols);
  backend_.multiply(1.0F, h, Transpose::no, gradient, Transpose::no, 0.0F, y);
  backend_.multiply(-scale_, h, Transpose::yes, y, Transpose::no, scale_, gradient);
}

}  // namespace orthospike
