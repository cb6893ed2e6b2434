#include <thrust/transform.h>

#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/thrust_policy.cuh"

namespace orthospike {

namespace {

cublasOperation_t blas(Transpose transpose) {
  return transpose == Transpose::yes ? CUBLAS_OP_T : CUBLAS_OP_N;
}

constexpr unsigned sum_threads = 256;

__global__ void __launch_bounds__(sum_threads)
    weighted_sum(float alpha, const float* x, float beta, float* y, std::size_t size) {
  const std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < size) y[i] = alpha * x[i] + beta * y[i];
}

struct Sign {
  float scale;
  __host__ __device__ float operator()(float value) const {
    return value > 0.0F ? scale : value < 0.0F ? -scale : 0.0F;
  }
};

struct Raise {
  float bound;
  __host__ __device__ float operator()(float value) const { return value < bound ? bound : value; }
};

constexpr unsigned element_threads = 256;

/// Gives every element a thread.
__global__ void __launch_bounds__(element_threads)
    modulate_elements(const float* __restrict__ factor, std::size_t factor_cols, std::size_t size,
                      std::size_t cols, float* __restrict__ x) {
  const std::size_t at = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at < size) x[at] *= factor[factor_cols == cols ? at : at / cols];
}

}  // namespace

/// cuBLAS sees a row-major matrix as its transpose, so it is asked for cᵀ = op(b)ᵀ · op(a)ᵀ.
void CudaBackend::do_multiply(float alpha, ConstMatrix a, Transpose transpose_a, ConstMatrix b,
                              Transpose transpose_b, float beta, ConstMatrix addend, Matrix c) {
  if (beta != 0.0F && addend.address() != c.address())
    do_copy(addend.address(), c.address(), c.values.size() * sizeof(float));
  const std::size_t inner = transpose_a == Transpose::no ? a.cols : a.rows;
  if (inner == 0) {  // no valid leading dimensions
    if (beta == 0.0F) {
      do_clear(c.address(), c.values.size() * sizeof(float));
    } else {
      check(cublasSscal(context_->blas.get(), blas_size(c.values.size()), &beta, c.address(), 1),
            "cublasSscal");
    }
    return;
  }
  check(cublasSgemm(context_->blas.get(), blas(transpose_b), blas(transpose_a), blas_size(c.cols),
                    blas_size(c.rows), blas_size(inner), &alpha, b.address(), blas_size(b.cols), a.address(),
                    blas_size(a.cols), &beta, c.address(), blas_size(c.cols)),
        "cublasSgemm");
}

void CudaBackend::do_transpose(ConstMatrix a, Matrix b) {
  // cuBLAS sees a as [cols × rows] by columns, and makes b [rows × cols] by columns of it.
  const float one = 1, zero = 0;
  check(cublasSgeam(context_->blas.get(), CUBLAS_OP_T, CUBLAS_OP_T, blas_size(a.rows), blas_size(a.cols),
                    &one, a.address(), blas_size(a.cols), &zero, a.address(), blas_size(a.cols), b.address(),
                    blas_size(a.rows)),
        "cublasSgeam");
}

void CudaBackend::do_add(float alpha, View<const float> x, float beta, View<float> y) {
  launch(weighted_sum, blocks_for(y.size(), sum_threads), sum_threads, 0, context_->stream, alpha,
         x.address(), beta, y.address(), y.size());
}

void CudaBackend::do_sign(float scale, View<const float> x, View<float> y) {
  thrust::transform(thrust_policy(context_->stream), x.address(), x.address() + x.size(), y.address(),
                    Sign{scale});
}

void CudaBackend::do_modulate(ConstMatrix factor, Matrix x) {
  launch(modulate_elements, blocks_for(x.values.size(), element_threads), element_threads, 0,
         context_->stream, factor.address(), factor.cols, x.values.size(), x.cols, x.address());
}

void CudaBackend::do_raise_to(float bound, View<float> values) {
  thrust::transform(thrust_policy(context_->stream), values.address(), values.address() + values.size(),
                    values.address(), Raise{bound});
}

}  // namespace orthospike
