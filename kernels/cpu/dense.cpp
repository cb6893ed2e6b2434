#include "kernels/dense.hpp"

#include <cblas.h>

#include <algorithm>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/host_view.hpp"

namespace orthospike {

namespace {

/// Rows of a strip of AddMoment: enough for a product to be fast; and strips at most.
constexpr std::size_t moment_strip = 96, most_strips = 32;

}  // namespace

void execute(CpuBackend& cpu, const Multiply& op) {
  const auto a = host(op.a), b = host(op.b);
  const auto c = host(op.c);
  const auto block = [&](std::size_t row, std::size_t rows, std::size_t col, std::size_t cols) {
    if (op.adds_other()) {
      for (std::size_t i = row; i < row + rows; ++i) std::copy_n(&host(op.addend)(i, col), cols, &c(i, col));
    }
    gemm(rows, cols, op.terms(), op.alpha,
         {a.values.data() + (op.transpose_a ? row : row * a.cols), a.cols, op.transpose_a},
         {b.values.data() + (op.transpose_b ? col * b.cols : col), b.cols, op.transpose_b}, op.beta,
         &c(row, col), c.cols);
  };

  const std::size_t pieces = product_pieces(c.rows * c.cols * op.terms());
  // Where the result is wide, b is the larger operand by far, and each thread should read its own part of it.
  const bool of_rows = c.cols < 4 * c.rows;
  const std::size_t length = of_rows ? c.rows : c.cols;
  for_each_range(cpu.pool(), length, (length + pieces - 1) / pieces,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   if (of_rows) {
                     block(first, last - first, 0, c.cols);
                   } else {
                     block(0, c.rows, first, last - first);
                   }
                 });
}

/// In strips of rows, each as far as the diagonal of its last row, from the longest to the shortest.
void execute(CpuBackend& cpu, const AddMoment& op) {
  const auto x = host(op.x);
  const auto sum = host(op.sum);
  const std::size_t n = sum.rows,
                    height = std::max<std::size_t>(moment_strip, (n + most_strips - 1) / most_strips);
  const std::size_t strips = (n + height - 1) / height;
  const std::size_t work = n * n * x.rows / 2;
  const std::size_t pieces = product_pieces(work) == 1 ? 1 : strips;
  for_each_range(cpu.pool(), strips, (strips + pieces - 1) / pieces,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t strip = first; strip < last; ++strip) {
                     const std::size_t end = n - strip * height;
                     const std::size_t begin = end - std::min(end, height);
                     gemm(end - begin, end, x.rows, op.alpha, {x.values.data() + begin, n, true},
                          {x.values.data(), n}, op.beta, &sum(begin, 0), n);
                   }
                 });
}

/// In squares that the cache holds both ways.
void execute(CpuBackend& cpu, const MirrorLower& op) {
  constexpr std::size_t side = 64;
  const auto matrix = host(op.matrix);
  const std::size_t n = matrix.rows, strips = (n + side - 1) / side;
  const std::size_t strips_per_piece = std::max<std::size_t>(1, elementwise_piece / (side * n));
  for_each_range(cpu.pool(), strips, strips_per_piece, [&](std::size_t, std::size_t first, std::size_t last) {
    for (std::size_t row = first * side; row < std::min(n, last * side); row += side) {
      for (std::size_t col = row; col < n; col += side) {
        for (std::size_t i = row; i < std::min(n, row + side); ++i) {
          for (std::size_t j = std::max(i + 1, col); j < std::min(n, col + side); ++j)
            matrix(i, j) = matrix(j, i);
        }
      }
    }
  });
}

void execute(CpuBackend& cpu, const Transpose& op) {
  const auto a = host(op.a);
  const auto b = host(op.b);
  const std::size_t columns = std::max<std::size_t>(1, elementwise_piece / a.rows);
  for_each_range(cpu.pool(), a.cols, columns, [&](std::size_t, std::size_t first, std::size_t last) {
    cblas_somatcopy(CblasRowMajor, CblasTrans, static_cast<int>(a.rows), static_cast<int>(last - first), 1.0F,
                    &a(0, first), static_cast<int>(a.cols), &b(first, 0), static_cast<int>(a.rows));
  });
}

template std::shared_ptr<DenseProducts> make_family(CpuBackend&, double&);

}  // namespace orthospike
