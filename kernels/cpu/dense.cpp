#include <cblas.h>

#include <algorithm>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/parallel.hpp"

namespace orthospike {

void CpuBackend::do_multiply(float alpha, ConstMatrix a, Transpose transpose_a, ConstMatrix b,
                             Transpose transpose_b, float beta, ConstMatrix addend, Matrix c) {
  const std::size_t inner = transpose_a == Transpose::no ? a.cols : a.rows;
  const auto block = [&](std::size_t row, std::size_t rows, std::size_t col, std::size_t cols) {
    float* const c_block = c.address() + row * c.cols + col;
    if (beta != 0.0F && addend.address() != c.address()) {
      const float* const addend_block = addend.address() + row * c.cols + col;
      for (std::size_t i = 0; i < rows; ++i)
        std::copy_n(addend_block + i * c.cols, cols, c_block + i * c.cols);
    }
    const float* a_block = a.address() + (transpose_a == Transpose::no ? row * a.cols : row);
    const float* b_block = b.address() + (transpose_b == Transpose::no ? col : col * b.cols);
    gemm(rows, cols, inner, alpha, {a_block, a.cols, transpose_a}, {b_block, b.cols, transpose_b}, beta,
         c_block, c.cols);
  };

  const std::size_t pieces = product_pieces(c.rows * c.cols * inner);
  // Where the result is wide, b is the larger operand by far, and each thread should read its own part of it.
  const bool of_rows = c.cols < 4 * c.rows;
  const std::size_t length = of_rows ? c.rows : c.cols;
  for_each_range(pool_, length, (length + pieces - 1) / pieces,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   if (of_rows) {
                     block(first, last - first, 0, c.cols);
                   } else {
                     block(0, c.rows, first, last - first);
                   }
                 });
}

void CpuBackend::do_transpose(ConstMatrix a, Matrix b) {
  const std::size_t columns = std::max<std::size_t>(1, elementwise_piece / a.rows);
  for_each_range(pool_, a.cols, columns, [&](std::size_t, std::size_t first, std::size_t last) {
    cblas_somatcopy(CblasRowMajor, CblasTrans, static_cast<int>(a.rows), static_cast<int>(last - first), 1.0F,
                    a.address() + first, static_cast<int>(a.cols), b.address() + first * a.rows,
                    static_cast<int>(a.rows));
  });
}

void CpuBackend::do_add(float alpha, View<const float> x, float beta, View<float> y) {
  for_each_range(pool_, y.size(), elementwise_piece, [&](std::size_t, std::size_t first, std::size_t last) {
    cblas_saxpby(static_cast<int>(last - first), alpha, x.address() + first, 1, beta, y.address() + first, 1);
  });
}

void CpuBackend::do_sign(float scale, View<const float> x, View<float> y) {
  for_each_range(pool_, y.size(), elementwise_piece, [&](std::size_t, std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
      const float value = x.address()[i];
      y.address()[i] = scale * static_cast<float>((value > 0.0F) - (value < 0.0F));
    }
  });
}

void CpuBackend::do_modulate(ConstMatrix factor, Matrix x) {
  const std::size_t rows = std::max<std::size_t>(1, elementwise_piece / x.cols);
  for_each_range(pool_, x.rows, rows, [&](std::size_t, std::size_t first, std::size_t last) {
    for (std::size_t row = first; row < last; ++row) {
      float* const to = x.address() + row * x.cols;
      const float* const by = factor.address() + row * factor.cols;
      if (factor.cols == x.cols) {
        for (std::size_t i = 0; i < x.cols; ++i) to[i] *= by[i];
      } else {
        for (std::size_t i = 0; i < x.cols; ++i) to[i] *= by[0];
      }
    }
  });
}

void CpuBackend::do_raise_to(float bound, View<float> values) {
  for_each_range(pool_, values.size(), elementwise_piece,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t i = first; i < last; ++i)
                     values.address()[i] = std::max(values.address()[i], bound);
                 });
}

}  // namespace orthospike
