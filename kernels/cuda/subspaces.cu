#include "kernels/cuda/context.hpp"
#include "kernels/cuda/reduce.cuh"
#include "kernels/dense.hpp"
#include "kernels/subspaces.hpp"

namespace orthospike {

namespace {

constexpr unsigned update_threads = 256;

/// The element-wise part of a Hebbian rates. Clamping keeps NaN, as std::clamp does.
__global__ void __launch_bounds__(update_threads)
    hebbian_update(const HebbianRates rates, const float* __restrict__ correlation,
                   float* __restrict__ velocity, float* __restrict__ h, std::size_t size) {
  const std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const float scaled = rates.scale * correlation[i];
  const float change = scaled < -rates.clamp ? -rates.clamp : scaled > rates.clamp ? rates.clamp : scaled;
  const float v = rates.momentum * velocity[i] + (1.0F - rates.momentum) * change;
  velocity[i] = v;
  h[i] += rates.learning_rate * v;
}

/// One block: row ← row / ‖row‖
__global__ void __launch_bounds__(most_threads) normalise(float* row, std::size_t size) {
  double sum = 0;
  for (std::size_t j = threadIdx.x; j < size; j += blockDim.x)
    sum += static_cast<double>(row[j]) * static_cast<double>(row[j]);
  const double norm = sqrt(block_sum(sum));
  for (std::size_t j = threadIdx.x; j < size; j += blockDim.x)
    row[j] = static_cast<float>(static_cast<double>(row[j]) / norm);
}

}  // namespace

void execute(CudaContext& cuda, const RemoveSubspace& op) {
  if (op.h.empty() || op.x.empty()) {
    if (op.x.address() != op.residual.address())
      cuda.copy(op.x.address(), op.residual.address(), op.x.values.size() * sizeof(float));
    return;
  }
  const Matrix response = cuda.scratch(op.x.rows, op.h.rows);
  execute(cuda, Multiply{.a = op.x, .b = op.h, .transpose_b = true, .c = response});
  execute(cuda, Multiply{.alpha = -1, .a = response, .b = op.h, .beta = 1, .addend = op.x, .c = op.residual});
}

void execute(CudaContext& cuda, const FollowCorrelation& op) {
  launch(hebbian_update, blocks_for(op.h.values.size(), update_threads), update_threads, 0, cuda.stream,
         op.rates, op.correlation, op.velocity, op.h, op.h.values.size());
}

void execute(CudaContext& cuda, const HebbianStep& op) {
  const Matrix correlation = cuda.scratch(op.h.rows, op.h.cols);
  execute(cuda, Multiply{.a = op.response, .transpose_a = true, .b = op.residual, .c = correlation});
  execute(cuda, FollowCorrelation{
                    .rates = op.rates, .correlation = correlation, .velocity = op.velocity, .h = op.h});
}

/// Serial over rows; each is two matrix-vector products with the rows before.
void execute(CudaContext& cuda, const OrthonormaliseRows& op) {
  if (op.h.empty()) return;
  cublasHandle_t const blas = cuda.blas.get();
  const int n = blas_size(op.h.cols);
  const float one = 1, minus_one = -1, zero = 0;
  float* const overlap = cuda.scratch(1, op.h.rows).address();
  for (std::size_t i = op.first; i < op.h.rows; ++i) {
    float* const row = op.h.address() + i * op.h.cols;
    const int earlier = blas_size(i);
    for (int pass = 0; pass < 2; ++pass) {
      if (earlier > 0) {  // cuBLAS sees the earlier rows as the columns of an [n × earlier] matrix
        check(cublasSgemv(blas, CUBLAS_OP_T, n, earlier, &one, op.h.address(), n, row, 1, &zero, overlap, 1),
              "cublasSgemv");
        check(cublasSgemv(blas, CUBLAS_OP_N, n, earlier, &minus_one, op.h.address(), n, overlap, 1, &one, row,
                          1),
              "cublasSgemv");
      }
      launch(normalise, 1, most_threads, 0, cuda.stream, row, op.h.cols);
    }
  }
}

template std::shared_ptr<SubspaceSteps> make_family(CudaContext&, double&);

}  // namespace orthospike
