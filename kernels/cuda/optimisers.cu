#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/optimisers.hpp"

namespace orthospike {

namespace {

constexpr unsigned update_threads = 256;

__global__ void __launch_bounds__(update_threads)
    adam_update(const AdamStep step, float* __restrict__ mean, float* __restrict__ square,
                float* __restrict__ gradient, std::size_t size) {
  const std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const float g = gradient[i];
  const float m = step.beta1 * mean[i] + (1.0F - step.beta1) * g;
  const float v = step.beta2 * square[i] + (1.0F - step.beta2) * (g * g);
  mean[i] = m;
  square[i] = v;
  gradient[i] = step.mean_correction * m / (sqrtf(step.square_correction * v) + step.epsilon);
}

}  // namespace

void execute(CudaContext& cuda, const AdamStep& op) {
  launch(adam_update, blocks_for(op.gradient.size(), update_threads), update_threads, 0, cuda.stream, op,
         op.mean, op.square, op.gradient, op.gradient.size());
}

template std::shared_ptr<OptimiserSteps> make_family(CudaContext&, double&);

}  // namespace orthospike
