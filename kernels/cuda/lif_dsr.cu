#include "kernels/cuda/context.hpp"
#include "kernels/cuda/spiking.cuh"
#include "kernels/lif_dsr.hpp"

namespace orthospike {

namespace {

/// The neurons of RunLifDsr in the device's terms.
struct LifDsrNeuron {
  float decay;
  float dt;
  float firing_fraction;
  float inverse_weights;  ///< 1 / Σ of the averaging weights
  float inverse_steps;
  const float* threshold;
  float* average_current;
  float* average_output;
  float* mean_output;
  float* membrane;

  struct State {
    float reset, firing;
    float u, current_sum, spike_sum;
    std::uint32_t spike_count;
  };
  __device__ State begin(std::size_t /*at*/) const {
    return {*threshold, firing_fraction * *threshold, 0, 0, 0, 0};
  }
  __device__ bool step(State& s, float current, std::size_t /*at*/) const {
    s.u = fmaf(decay, s.u, (1.0F - decay) * current);
    s.current_sum = fmaf(decay, s.current_sum, current);
    const bool fires = s.u >= s.firing;
    s.u = fires ? s.u - s.reset : s.u;
    s.spike_sum = fmaf(decay, s.spike_sum, fires ? 1.0F : 0.0F);
    s.spike_count += fires ? 1U : 0U;
    return fires;
  }
  __device__ void end(const State& s, std::size_t at) const {
    const float height = s.reset / dt;
    membrane[at] = s.u;
    average_current[at] = s.current_sum * inverse_weights;
    average_output[at] = s.spike_sum * height * inverse_weights;
    mean_output[at] = height * static_cast<float>(s.spike_count) * inverse_steps;
  }
};

constexpr unsigned derivative_threads = 256;

/// The derivative of each element; every block leaves its part of the threshold's derivative, and the last to
/// finish adds all parts in the order of the blocks.
__global__ void __launch_bounds__(derivative_threads)
    lif_dsr_derivative(float dt, float tau, float scale, const float* __restrict__ threshold,
                       const float* __restrict__ average_current, std::size_t size, float* gradient,
                       volatile double* partial_sums, std::uint32_t* finished, float* threshold_gradient) {
  const float saturation = *threshold * tau / dt;
  double saturated = 0;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < size;
       i += std::size_t{gridDim.x} * blockDim.x) {
    const float current = average_current[i];
    const float g = scale * gradient[i];
    if (current > saturation) saturated += static_cast<double>(g);
    gradient[i] = current > 0.0F && current < saturation ? g / tau : 0.0F;
  }
  saturated = block_sum(saturated);

  __shared__ bool is_last;
  if (threadIdx.x == 0) {
    partial_sums[blockIdx.x] = saturated;
    __threadfence();  // the sum is visible before the block counts as finished
    is_last = atomicAdd(finished, 1U) == gridDim.x - 1;
  }
  __syncthreads();
  if (!is_last) return;

  double sum = 0;
  for (unsigned block = threadIdx.x; block < gridDim.x; block += blockDim.x) sum += partial_sums[block];
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    *threshold_gradient = static_cast<float>(static_cast<double>(dt) * sum);
    *finished = 0;
  }
}

}  // namespace

void execute(CudaContext& cuda, const RunLifDsr& op) {
  if (op.outputs.membrane.empty()) {
    cuda.clear(op.outputs.spikes.counts.address(), op.outputs.spikes.counts.size() * sizeof(std::uint32_t));
    return;
  }
  launch_spiking_steps(LifDsrNeuron{.decay = op.neuron.decay,
                                    .dt = op.neuron.dt,
                                    .firing_fraction = op.neuron.firing_fraction,
                                    .inverse_weights = static_cast<float>(1.0 / op.weight_sum()),
                                    .inverse_steps = 1.0F / static_cast<float>(op.steps),
                                    .threshold = op.threshold.address(),
                                    .average_current = op.outputs.average_current.address(),
                                    .average_output = op.outputs.average_output.address(),
                                    .mean_output = op.outputs.mean_output.address(),
                                    .membrane = op.outputs.membrane.address()},
                       {.steps = static_cast<std::uint32_t>(op.steps),
                        .batch = op.batch(),
                        .neurons = op.neurons(),
                        .step_stride = op.step_stride(),
                        .currents = op.currents.address(),
                        .counts = op.outputs.spikes.counts.address(),
                        .indices = op.outputs.spikes.indices.address()},
                       cuda.stream);
}

void execute(CudaContext& cuda, const LifDsrBackward& op) {
  constexpr std::size_t elements_per_thread = 2;
  const std::size_t size = op.gradient.values.size();
  const unsigned wanted = blocks_for(size, derivative_threads * elements_per_thread);
  // By size alone, so that sums have the same order on every device.
  const unsigned blocks = wanted < most_partial_sums ? wanted : most_partial_sums;
  launch(lif_dsr_derivative, blocks, derivative_threads, 0, cuda.stream, op.neuron.dt, op.neuron.tau,
         op.scale, op.threshold, op.average_current, size, op.gradient, cuda.partial_sums(), cuda.finished(),
         op.threshold_gradient);
}

template std::shared_ptr<LifDsrNeurons> make_family(CudaContext&, double&);

}  // namespace orthospike
