#include "kernels/lateral.hpp"

#include <thrust/for_each.h>

#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/thrust_policy.cuh"

namespace orthospike {

namespace {

constexpr unsigned spike_threads = 256;
constexpr unsigned settle_threads = 256;

/// Clamping keeps NaN, as std::clamp does.
struct ToLevel {
  float scale;
  float levels;
  __host__ __device__ void operator()(float& value) const {
    const float bounded = value < -scale ? -scale : value > scale ? scale : value;
    value = rintf(bounded / scale * levels) / levels * scale;
  }
};

/// All steps of one neuron a thread.
__global__ void __launch_bounds__(spike_threads)
    signed_spikes(float scale, std::uint32_t steps, float* values, std::uint32_t* spikes, std::size_t size) {
  const std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const float current = values[i];
  float u = 0;
  float balance = 0;
  std::uint32_t emitted = 0;
  for (std::uint32_t t = 0; t < steps; ++t) {
    u += current;
    const bool fires = fabsf(u) >= scale / 2;
    balance += fires ? copysignf(1.0F, u) : 0.0F;
    u -= fires ? copysignf(scale, u) : 0.0F;
    emitted += fires ? 1U : 0U;
  }
  values[i] = u != u ? u : balance / static_cast<float>(steps) * scale;
  spikes[i] = emitted;
}

/// One row of SettleBySpikes a block. All threads see the same potential of the neuron whose turn it
/// is, and so take the same branches; only spikes make them wait for each other.
__global__ void __launch_bounds__(settle_threads)
    settle_row(float height, std::size_t sweeps, const float* __restrict__ inhibition, std::size_t n,
               float* potentials, float* activities) {
  float* const potential = potentials + blockIdx.x * n;
  float* const activity = activities + blockIdx.x * n;
  for (std::size_t j = threadIdx.x; j < n; j += blockDim.x) activity[j] = 0;
  bool fired = true;
  for (std::size_t sweep = 0; sweep < sweeps && fired; ++sweep) {
    fired = false;
    for (std::size_t i = 0; i < n; ++i) {
      const float* const weights = inhibition + i * n;
      const float spikes = rintf(potential[i] * (1.0F / (height * (1.0F + weights[i]))));
      if (spikes == 0) continue;
      fired = true;
      const float change = spikes * height;
      __syncthreads();  // or some would change potential[i] before others have read it
      for (std::size_t j = threadIdx.x; j < n; j += blockDim.x) {
        const float left = fmaf(-change, weights[j], potential[j]);
        potential[j] = j == i ? left - change : left;
        if (j == i) activity[j] += change;
      }
      __syncthreads();
    }
  }
  bool numbers = true;
  for (std::size_t j = threadIdx.x; j < n; j += blockDim.x) numbers = numbers && potential[j] == potential[j];
  if (__syncthreads_and(numbers ? 1 : 0) != 0) return;
  for (std::size_t j = threadIdx.x; j < n; j += blockDim.x) activity[j] = nanf("");
}

}  // namespace

void execute(CudaContext& cuda, const Quantise& op) {
  thrust::for_each(thrust_policy(cuda.stream), op.values.address(), op.values.address() + op.values.size(),
                   ToLevel{op.scale, static_cast<float>(op.levels)});
}

void execute(CudaContext& cuda, const SpikeSigned& op) {
  launch(signed_spikes, blocks_for(op.values.size(), spike_threads), spike_threads, 0, cuda.stream, op.scale,
         static_cast<std::uint32_t>(op.steps), op.values, op.spikes, op.values.size());
}

void execute(CudaContext& cuda, const SettleBySpikes& op) {
  launch(settle_row, static_cast<unsigned>(op.potential.rows), settle_threads, 0, cuda.stream, op.height,
         op.sweeps, op.inhibition, op.inhibition.cols, op.potential, op.activity);
}

template std::shared_ptr<LateralCircuits> make_family(CudaContext&, double&);

}  // namespace orthospike
