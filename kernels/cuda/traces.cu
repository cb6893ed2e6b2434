#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/traces.hpp"

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

void execute(CudaContext& cuda, const Filter& op) {
  launch(filter_forward, blocks_for(op.last.values.size(), trace_threads), trace_threads, 0, cuda.stream,
         op.decay, op.steps, op.last.values.size(), op.x, op.last);
}

void execute(CudaContext& cuda, const FilterBack& op) {
  const std::size_t size = op.x.values.size() / op.steps;
  launch(filter_backward, blocks_for(size, trace_threads), trace_threads, 0, cuda.stream, op.decay, op.steps,
         size, op.x);
}

void execute(CudaContext& cuda, const SumSteps& op) {
  launch(sum_over_steps, blocks_for(op.sum.values.size(), trace_threads), trace_threads, 0, cuda.stream,
         op.scale, op.decay, op.steps, op.sum.values.size(), op.x, op.sum);
}

template std::shared_ptr<Traces> make_family(CudaContext&, double&);

}  // namespace orthospike
