#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/dense.hpp"

namespace orthospike {

namespace {

cublasOperation_t blas(bool transpose) {
  return transpose ? CUBLAS_OP_T : CUBLAS_OP_N;
}

constexpr unsigned mirror_threads = 256;

__global__ void __launch_bounds__(mirror_threads) mirror_lower(float* matrix, std::size_t n) {
  const std::size_t at = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::size_t row = at / n, col = at % n;
  if (row < col && row < n) matrix[at] = matrix[col * n + row];
}

}  // namespace

/// cuBLAS sees a row-major matrix as its transpose, so it is asked for cᵀ = op(b)ᵀ · op(a)ᵀ.
void execute(CudaContext& cuda, const Multiply& op) {
  if (op.adds_other()) cuda.copy(op.addend.address(), op.c.address(), op.c.values.size() * sizeof(float));
  if (op.terms() == 0) {  // no valid leading dimensions
    if (op.beta == 0.0F) {
      cuda.clear(op.c.address(), op.c.values.size() * sizeof(float));
    } else {
      check(cublasSscal(cuda.blas.get(), blas_size(op.c.values.size()), &op.beta, op.c.address(), 1),
            "cublasSscal");
    }
    return;
  }
  check(cublasSgemm(cuda.blas.get(), blas(op.transpose_b), blas(op.transpose_a), blas_size(op.c.cols),
                    blas_size(op.c.rows), blas_size(op.terms()), &op.alpha, op.b.address(),
                    blas_size(op.b.cols), op.a.address(), blas_size(op.a.cols), &op.beta, op.c.address(),
                    blas_size(op.c.cols)),
        "cublasSgemm");
}

/// The whole product: on a device a small one takes as long as half of it.
void execute(CudaContext& cuda, const AddMoment& op) {
  execute(
      cuda,
      Multiply{.alpha = op.alpha, .a = op.x, .transpose_a = true, .b = op.x, .beta = op.beta, .c = op.sum});
}

void execute(CudaContext& cuda, const MirrorLower& op) {
  launch(mirror_lower, blocks_for(op.matrix.values.size(), mirror_threads), mirror_threads, 0, cuda.stream,
         op.matrix, op.matrix.rows);
}

void execute(CudaContext& cuda, const Transpose& op) {
  // cuBLAS sees a as [cols × rows] by columns, and makes b [rows × cols] by columns of it.
  const float one = 1, zero = 0;
  check(cublasSgeam(cuda.blas.get(), CUBLAS_OP_T, CUBLAS_OP_T, blas_size(op.a.rows), blas_size(op.a.cols),
                    &one, op.a.address(), blas_size(op.a.cols), &zero, op.a.address(), blas_size(op.a.cols),
                    op.b.address(), blas_size(op.a.rows)),
        "cublasSgeam");
}

template std::shared_ptr<DenseProducts> make_family(CudaContext&, double&);

}  // namespace orthospike
