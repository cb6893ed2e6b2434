#include <algorithm>

#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

namespace {

float element(ConstMatrix m, Transpose transpose, std::size_t row, std::size_t col) {
  return transpose == Transpose::no ? m.address()[row * m.cols + col] : m.address()[col * m.cols + row];
}

}  // namespace

void ReferenceBackend::do_multiply(float alpha, ConstMatrix a, Transpose transpose_a, ConstMatrix b,
                                   Transpose transpose_b, float beta, ConstMatrix addend, Matrix c) {
  const std::size_t inner = transpose_a == Transpose::no ? a.cols : a.rows;
  for (std::size_t row = 0; row < c.rows; ++row) {
    for (std::size_t col = 0; col < c.cols; ++col) {
      double sum = 0;
      for (std::size_t k = 0; k < inner; ++k) {
        sum += static_cast<double>(element(a, transpose_a, row, k)) * element(b, transpose_b, k, col);
      }
      const std::size_t at = row * c.cols + col;
      const double kept = beta == 0.0F ? 0.0 : static_cast<double>(beta) * addend.address()[at];
      c.address()[at] = static_cast<float>(alpha * sum + kept);
    }
  }
}

void ReferenceBackend::do_transpose(ConstMatrix a, Matrix b) {
  for (std::size_t i = 0; i < a.rows; ++i) {
    for (std::size_t j = 0; j < a.cols; ++j) b.address()[j * a.rows + i] = a.address()[i * a.cols + j];
  }
}

void ReferenceBackend::do_add(float alpha, View<const float> x, float beta, View<float> y) {
  for (std::size_t i = 0; i < y.size(); ++i) y.address()[i] = alpha * x.address()[i] + beta * y.address()[i];
}

void ReferenceBackend::do_sign(float scale, View<const float> x, View<float> y) {
  for (std::size_t i = 0; i < y.size(); ++i) {
    const float value = x.address()[i];
    y.address()[i] = value > 0.0F ? scale : value < 0.0F ? -scale : 0.0F;
  }
}

void ReferenceBackend::do_modulate(ConstMatrix factor, Matrix x) {
  for (std::size_t row = 0; row < x.rows; ++row) {
    for (std::size_t i = 0; i < x.cols; ++i) {
      x.address()[row * x.cols + i] *= factor.address()[row * factor.cols + (factor.cols == 1 ? 0 : i)];
    }
  }
}

void ReferenceBackend::do_raise_to(float bound, View<float> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    values.address()[i] = std::max(values.address()[i], bound);
  }
}

}  // namespace orthospike
