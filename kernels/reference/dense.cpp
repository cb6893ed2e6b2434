#include "kernels/dense.hpp"

#include "kernels/host_view.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void execute(ReferenceBackend&, const Multiply& op) {
  const auto a = host(op.a), b = host(op.b), addend = host(op.addend.empty() ? op.c : op.addend);
  const auto c = host(op.c);
  for (std::size_t row = 0; row < c.rows; ++row) {
    for (std::size_t col = 0; col < c.cols; ++col) {
      double sum = 0;
      for (std::size_t k = 0; k < op.terms(); ++k) {
        const double left = op.transpose_a ? a(k, row) : a(row, k);
        sum += left * (op.transpose_b ? b(col, k) : b(k, col));
      }
      const double kept = op.beta == 0.0F ? 0.0 : static_cast<double>(op.beta) * addend(row, col);
      c(row, col) = static_cast<float>(op.alpha * sum + kept);
    }
  }
}

void execute(ReferenceBackend&, const AddMoment& op) {
  const auto x = host(op.x);
  const auto c = host(op.sum);
  for (std::size_t i = 0; i < c.rows; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (std::size_t row = 0; row < x.rows; ++row) sum += static_cast<double>(x(row, i)) * x(row, j);
      const double kept = op.beta == 0.0F ? 0.0 : static_cast<double>(op.beta) * c(i, j);
      c(i, j) = static_cast<float>(op.alpha * sum + kept);
    }
  }
}

void execute(ReferenceBackend&, const MirrorLower& op) {
  const auto matrix = host(op.matrix);
  for (std::size_t i = 0; i < matrix.rows; ++i) {
    for (std::size_t j = i + 1; j < matrix.cols; ++j) matrix(i, j) = matrix(j, i);
  }
}

void execute(ReferenceBackend&, const Transpose& op) {
  const auto a = host(op.a);
  const auto b = host(op.b);
  for (std::size_t i = 0; i < a.rows; ++i) {
    for (std::size_t j = 0; j < a.cols; ++j) b(j, i) = a(i, j);
  }
}

template std::shared_ptr<DenseProducts> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
