#include <cblas.h>

#include <algorithm>
#include <bit>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"

namespace orthospike {

namespace {

/// Multiply-adds worth a piece of their own (some 30 µs of one core).
constexpr std::size_t multiply_adds_per_piece = 3'000'000;
constexpr std::size_t most_pieces = 64;

CBLAS_TRANSPOSE blas(Transpose transpose) {
  return transpose == Transpose::yes ? CblasTrans : CblasNoTrans;
}

}  // namespace

void CpuBackend::do_multiply(float alpha, ConstMatrix a, Transpose transpose_a, ConstMatrix b,
                             Transpose transpose_b, float beta, Matrix c) {
  const std::size_t inner = transpose_a == Transpose::no ? a.cols : a.rows;
  const auto product = [&](std::size_t row, std::size_t rows, std::size_t col, std::size_t cols) {
    const float* a_part = a.address() + (transpose_a == Transpose::no ? row * a.cols : row);
    const float* b_part = b.address() + (transpose_b == Transpose::no ? col : col * b.cols);
    cblas_sgemm(CblasRowMajor, blas(transpose_a), blas(transpose_b), static_cast<int>(rows),
                static_cast<int>(cols), static_cast<int>(inner), alpha, a_part, static_cast<int>(a.cols),
                b_part, static_cast<int>(b.cols), beta, c.address() + row * c.cols + col,
                static_cast<int>(c.cols));
  };

  // A power of two of equal strips across the longer side of the result.
  const std::size_t worth = c.rows * c.cols * inner / multiply_adds_per_piece;
  const std::size_t pieces = std::bit_floor(std::clamp<std::size_t>(worth, 1, most_pieces));
  if (c.rows >= c.cols) {
    for_each_range(
        c.rows, (c.rows + pieces - 1) / pieces, threads_,
        [&](std::size_t, std::size_t first, std::size_t last) { product(first, last - first, 0, c.cols); });
  } else {
    for_each_range(
        c.cols, (c.cols + pieces - 1) / pieces, threads_,
        [&](std::size_t, std::size_t first, std::size_t last) { product(0, c.rows, first, last - first); });
  }
}

void CpuBackend::do_add(float alpha, View<const float> x, float beta, View<float> y) {
  for_each_range(y.size(), elementwise_piece, threads_,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   cblas_saxpby(static_cast<int>(last - first), alpha, x.address() + first, 1, beta,
                                y.address() + first, 1);
                 });
}

void CpuBackend::do_raise_to(float bound, View<float> values) {
  for_each_range(values.size(), elementwise_piece, threads_,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t i = first; i < last; ++i)
                     values.address()[i] = std::max(values.address()[i], bound);
                 });
}

}  // namespace orthospike
