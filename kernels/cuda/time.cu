#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"

namespace orthospike {

namespace {

constexpr unsigned trace_threads = 128;

// Each of these gives every element of a step a thread, which goes through all steps.

__global__ void __launch_bounds__(trace_threads)
    filter_forward(float decay, std::size_t steps, std::size_t size, float* x, float* last) {
  const std::size_t at = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at >= size) return;
  float trace = last[at];
  for (std::size_t t = 0; t < steps; ++t) x[t * size + at] = trace = decay * trace + x[t * size + at];
  last[at] = trace;
}

__global__ void __launch_bounds__(trace_threads)
    filter_backward(float decay, std::size_t steps, std::size_t size, float* x) {
  const std::size_t at = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at >= size) return;
  float trace = 0;
  for (std::size_t t = steps; t-- > 0;) x[t * size + at] = trace = decay * trace + x[t * size + at];
}

__global__ void __launch_bounds__(trace_threads)
    sum_over_steps(float scale, float decay, std::size_t steps, std::size_t size, const float* x,
                   float* sum) {
  const std::size_t at = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at >= size) return;
  float total = 0;
  float weight = 0;
  for (std::size_t t = 0; t < steps; ++t) {
    weight = decay * weight + 1.0F;
    total += weight * x[t * size + at];
  }
  sum[at] = scale * total;
}

}  // namespace

void CudaBackend::do_filter(float decay, std::size_t steps, Matrix x, Matrix last) {
  launch(filter_forward, blocks_for(last.values.size(), trace_threads), trace_threads, 0, context_->stream,
         decay, steps, last.values.size(), x.address(), last.address());
}

void CudaBackend::do_filter_back(float decay, std::size_t steps, Matrix x) {
  const std::size_t size = x.values.size() / steps;
  launch(filter_backward, blocks_for(size, trace_threads), trace_threads, 0, context_->stream, decay, steps,
         size, x.address());
}

void CudaBackend::do_sum_steps(float scale, float decay, std::size_t steps, ConstMatrix x, Matrix sum) {
  launch(sum_over_steps, blocks_for(sum.values.size(), trace_threads), trace_threads, 0, context_->stream,
         scale, decay, steps, sum.values.size(), x.address(), sum.address());
}

}  // namespace orthospike
