#include "kernels/cuda/context.hpp"
#include "kernels/cuda/reduce.cuh"

namespace orthospike {

namespace {

/// Arguments of Backend::lif_dsr in the device's terms.
struct LifDsrRun {
  float decay;
  float dt;
  float firing_fraction;
  float inverse_weights;  ///< 1 / Σ of the averaging weights
  const float* threshold;
  std::uint32_t steps;
  std::size_t batch;
  std::size_t neurons;
  std::size_t step_stride;  ///< elements from one step's currents to the next: 0 when they are the same
  const float* currents;
  std::uint32_t* counts;
  std::uint32_t* indices;
  float* average_current;
  float* average_output;
  float* mean_output;
  float* membrane;
};

/// Steps between two meetings of the block's warps.
constexpr unsigned steps_at_once = 8;

/// spikes[warp] ← spikes of the warps before, plus those of earlier blocks of neurons. One warp runs this for
/// one step.
__device__ void place_spikes(std::uint32_t* spikes, bool first_neurons, std::uint32_t* count) {
  const unsigned lane = lane_number();
  const std::uint32_t own = lane < blockDim.x / warp_size ? spikes[lane] : 0;
  std::uint32_t up_to_here = own;
  for (unsigned distance = 1; distance < warp_size; distance *= 2) {
    const std::uint32_t before = __shfl_up_sync(whole_warp, up_to_here, distance);
    if (lane >= distance) up_to_here += before;
  }
  const std::uint32_t earlier = first_neurons ? 0 : *count;
  spikes[lane] = earlier + up_to_here - own;
  __syncwarp();  // everybody has read the count
  if (lane == warp_size - 1) *count = earlier + up_to_here;
}

/// All steps of sample blockIdx.x. Each thread keeps the state of one neuron in registers over all steps; the
/// event lists of all steps grow side by side. Populations larger than the block take turns.
__global__ void __launch_bounds__(most_threads, 1) lif_dsr_steps(const LifDsrRun run) {
  __shared__ std::uint32_t spikes_of_warp[steps_at_once][warp_size];
  const unsigned lane = lane_number();
  const unsigned warp = warp_number();
  const std::size_t b = blockIdx.x;
  const float reset = *run.threshold;
  const float firing = run.firing_fraction * reset;
  const float height = reset / run.dt;
  const float gain = 1.0F - run.decay;

  for (std::size_t first = 0; first < run.neurons; first += blockDim.x) {
    const std::size_t i = first + threadIdx.x;
    const bool exists = i < run.neurons;
    const float* next_current = run.currents + b * run.neurons + (exists ? i : 0);
    float u = 0;
    float current_sum = 0;
    float spike_sum = 0;
    std::uint32_t spike_count = 0;
    for (std::uint32_t start = 0; start < run.steps; start += steps_at_once) {
      const std::uint32_t steps = min(run.steps - start, std::uint32_t{steps_at_once});
      float current[steps_at_once];
      for (unsigned s = 0; s < steps_at_once; ++s) {  // after the last step: its current again, unused
        current[s] = *next_current;
        if (start + s + 1 < run.steps) next_current += run.step_stride;
      }

      std::uint32_t fired[steps_at_once];  // one bit a lane
      for (unsigned s = 0; s < steps_at_once; ++s) {
        bool fires = false;
        if (s < steps) {
          u = fmaf(run.decay, u, gain * current[s]);
          current_sum = fmaf(run.decay, current_sum, current[s]);
          fires = exists && u >= firing;
          u = fires ? u - reset : u;
          spike_sum = fmaf(run.decay, spike_sum, fires ? 1.0F : 0.0F);
          spike_count += fires ? 1U : 0U;
        }
        fired[s] = __ballot_sync(whole_warp, fires);
        if (lane == 0) spikes_of_warp[s][warp] = static_cast<std::uint32_t>(__popc(fired[s]));
      }
      __syncthreads();

      for (unsigned s = warp; s < steps; s += blockDim.x / warp_size)
        place_spikes(spikes_of_warp[s], first == 0, run.counts + std::size_t{start + s} * run.batch + b);
      __syncthreads();

      const std::uint32_t lanes_before = (1U << lane) - 1U;
      std::uint32_t* events = run.indices + (std::size_t{start} * run.batch + b) * run.neurons;
      for (unsigned s = 0; s < steps_at_once; ++s, events += run.batch * run.neurons) {
        if ((fired[s] >> lane & 1U) == 0) continue;  // so in steps after the last
        const auto before_in_warp = static_cast<std::uint32_t>(__popc(fired[s] & lanes_before));
        events[spikes_of_warp[s][warp] + before_in_warp] = static_cast<std::uint32_t>(i);
      }
      __syncwarp();  // lane 0 writes the next counts only after all lanes have read their places
    }
    if (!exists) continue;
    const std::size_t at = b * run.neurons + i;
    run.membrane[at] = u;
    run.average_current[at] = current_sum * run.inverse_weights;
    run.average_output[at] = spike_sum * height * run.inverse_weights;
    run.mean_output[at] = height * static_cast<float>(spike_count) / static_cast<float>(run.steps);
  }
}

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

/// One block.
__global__ void __launch_bounds__(most_threads)
    add_counts(const std::uint32_t* __restrict__ counts, std::size_t rows, std::uint64_t* total) {
  unsigned long long sum = 0;
  for (std::size_t row = threadIdx.x; row < rows; row += blockDim.x) sum += counts[row];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *total += sum;
}

}  // namespace

void CudaBackend::do_lif_dsr(const LifDsr& neuron, View<const float> threshold, std::size_t steps,
                             ConstMatrix currents, const LifDsrOutputs& outputs) {
  const std::size_t batch = outputs.membrane.rows;
  const std::size_t neurons = outputs.membrane.cols;
  if (batch == 0 || neurons == 0) {
    do_clear(outputs.spikes.counts.address(), outputs.spikes.counts.size() * sizeof(std::uint32_t));
    return;
  }
  double weights = 0;
  for (std::size_t t = 0; t < steps; ++t) weights = static_cast<double>(neuron.decay) * weights + 1.0;
  const LifDsrRun run{.decay = neuron.decay,
                      .dt = neuron.dt,
                      .firing_fraction = neuron.firing_fraction,
                      .inverse_weights = static_cast<float>(1.0 / weights),
                      .threshold = threshold.address(),
                      .steps = static_cast<std::uint32_t>(steps),
                      .batch = batch,
                      .neurons = neurons,
                      .step_stride = currents.rows == batch ? 0 : batch * neurons,
                      .currents = currents.address(),
                      .counts = outputs.spikes.counts.address(),
                      .indices = outputs.spikes.indices.address(),
                      .average_current = outputs.average_current.address(),
                      .average_output = outputs.average_output.address(),
                      .mean_output = outputs.mean_output.address(),
                      .membrane = outputs.membrane.address()};
  // Turns of equal length, each of whole warps.
  const unsigned turns = blocks_for(neurons, most_threads);
  const unsigned warps = blocks_for(blocks_for(neurons, turns), warp_size);
  launch(lif_dsr_steps, static_cast<unsigned>(batch), warps * warp_size, 0, context_->stream, run);
}

void CudaBackend::do_lif_dsr_backward(const LifDsr& neuron, View<const float> threshold, float scale,
                                      ConstMatrix average_current, Matrix gradient,
                                      View<float> threshold_gradient) {
  constexpr std::size_t elements_per_thread = 2;
  const std::size_t size = gradient.values.size();
  const unsigned wanted = blocks_for(size, derivative_threads * elements_per_thread);
  // By size alone, so that sums have the same order on every device.
  const unsigned blocks = wanted < most_partial_sums ? wanted : most_partial_sums;
  launch(lif_dsr_derivative, blocks, derivative_threads, 0, context_->stream, neuron.dt, neuron.tau, scale,
         threshold.address(), average_current.address(), size, gradient.address(),
         context_->partial_sums.view().address(), context_->finished.view().address(),
         threshold_gradient.address());
}

void CudaBackend::do_count_spikes(View<const std::uint32_t> counts, View<std::uint64_t> total) {
  launch(add_counts, 1, most_threads, 0, context_->stream, counts.address(), counts.size(), total.address());
}

}  // namespace orthospike
