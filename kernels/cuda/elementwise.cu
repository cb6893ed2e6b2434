#include "kernels/elementwise.hpp"

#include <thrust/transform.h>

#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/thrust_policy.cuh"

namespace orthospike {

namespace {

constexpr unsigned sum_threads = 256;

__global__ void __launch_bounds__(sum_threads)
    weighted_sum(float alpha, const float* x, float beta, float* y, std::size_t size) {
  const std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < size) y[i] = alpha * x[i] + beta * y[i];
}

struct SignOf {
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

/// A block for each row.
__global__ void __launch_bounds__(element_threads)
    normalise_rows(const float* __restrict__ x, std::size_t cols, float* __restrict__ y) {
  const std::size_t first = std::size_t{blockIdx.x} * cols;
  double sum = 0;  // in double, for squares of small errors are too small for a float
  for (std::size_t i = threadIdx.x; i < cols; i += blockDim.x) {
    const double value = x[first + i];
    sum += value * value;
  }
  sum = block_sum(sum);
  const float factor = sum == 0 ? 0.0F : static_cast<float>(1 / sqrt(sum));
  for (std::size_t i = threadIdx.x; i < cols; i += blockDim.x) y[first + i] = factor * x[first + i];
}

}  // namespace

void execute(CudaContext& cuda, const Add& op) {
  launch(weighted_sum, blocks_for(op.y.size(), sum_threads), sum_threads, 0, cuda.stream, op.alpha, op.x,
         op.beta, op.y, op.y.size());
}

void execute(CudaContext& cuda, const RaiseTo& op) {
  thrust::transform(thrust_policy(cuda.stream), op.values.address(), op.values.address() + op.values.size(),
                    op.values.address(), Raise{op.bound});
}

void execute(CudaContext& cuda, const Sign& op) {
  thrust::transform(thrust_policy(cuda.stream), op.x.address(), op.x.address() + op.x.size(), op.y.address(),
                    SignOf{op.scale});
}

void execute(CudaContext& cuda, const Modulate& op) {
  launch(modulate_elements, blocks_for(op.x.values.size(), element_threads), element_threads, 0, cuda.stream,
         op.factor, op.factor.cols, op.x.values.size(), op.x.cols, op.x);
}

void execute(CudaContext& cuda, const NormaliseRows& op) {
  launch(normalise_rows, static_cast<unsigned>(op.x.rows), element_threads, 0, cuda.stream, op.x, op.x.cols,
         op.y);
}

template std::shared_ptr<Elementwise> make_family(CudaContext&, double&);

}  // namespace orthospike
