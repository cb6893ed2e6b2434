#include "kernels/dense.hpp"

#include <cblas.h>

#include <algorithm>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/host_view.hpp"

namespace orthospike {

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
