#include <cblas.h>

#include <algorithm>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"

namespace orthospike {

void CpuBackend::do_remove_subspace(ConstMatrix h, ConstMatrix x, Matrix residual) {
  if (x.address() != residual.address())
    do_copy(x.address(), residual.address(), x.values.size() * sizeof(float));
  if (h.empty() || x.empty()) return;
  const Matrix response = scratch(x.rows, h.rows);
  do_multiply(1.0F, x, Transpose::no, h, Transpose::yes, 0.0F, response);
  do_multiply(-1.0F, response, Transpose::no, h, Transpose::no, 1.0F, residual);
}

void CpuBackend::do_hebbian_step(const HebbianStep& step, ConstMatrix correlation, Matrix velocity,
                                 Matrix h) {
  const float kept = step.momentum;
  const float taken = 1.0F - step.momentum;
  for_each_range(h.values.size(), elementwise_piece, threads_,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   const float* c = correlation.address();
                   float* v = velocity.address();
                   float* weights = h.address();
#pragma omp simd
                   for (std::size_t i = first; i < last; ++i) {
                     const float change = std::min(std::max(step.scale * c[i], -step.clamp), step.clamp);
                     v[i] = kept * v[i] + taken * change;
                     weights[i] += step.learning_rate * v[i];
                   }
                 });
}

/// Serial over rows; each is two matrix-vector products with the rows before.
void CpuBackend::do_orthonormalise_rows(Matrix h, std::size_t first) {
  const int n = static_cast<int>(h.cols);
  for (std::size_t i = first; i < h.rows; ++i) {
    float* const row = h.address() + i * h.cols;
    const int earlier = static_cast<int>(i);
    for (int pass = 0; pass < 2; ++pass) {
      if (earlier > 0) {
        float* const overlap = scratch(1, i).address();
        cblas_sgemv(CblasRowMajor, CblasNoTrans, earlier, n, 1.0F, h.address(), n, row, 1, 0.0F, overlap, 1);
        cblas_sgemv(CblasRowMajor, CblasTrans, earlier, n, -1.0F, h.address(), n, overlap, 1, 1.0F, row, 1);
      }
      cblas_sscal(n, 1.0F / cblas_snrm2(n, row, 1), row, 1);
    }
  }
}

}  // namespace orthospike
