#pragma once

#include "kernels/cuda/reduce.cuh"

namespace orthospike {

/// Where the steps of a population come from and where its spikes go.
struct SpikingRun {
  std::uint32_t steps;
  std::size_t batch;
  std::size_t neurons;
  std::size_t step_stride;  ///< elements from one step's currents to the next: 0 when they are the same
  const float* currents;
  std::uint32_t* counts;
  std::uint32_t* indices;
};

/// Steps between two meetings of the block's warps.
inline constexpr unsigned steps_at_once = 8;

/// spikes[warp] ← spikes of the warps before, plus those of earlier blocks of neurons. One warp runs this for
/// one step.
__device__ inline void place_spikes(std::uint32_t* spikes, bool first_neurons, std::uint32_t* count) {
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
///
/// A Neuron has a State, begin(at) that gives it for element `at` of [batch × neurons], step(state, current,
/// at) that computes the step whose element of [steps·batch × neurons] is `at` and says whether it spikes, and
/// end(state, at).
template <class Neuron>
__global__ void __launch_bounds__(most_threads, 1) spiking_steps(const Neuron neuron, const SpikingRun run) {
  __shared__ std::uint32_t spikes_of_warp[steps_at_once][warp_size];
  const unsigned lane = lane_number();
  const unsigned warp = warp_number();
  const std::size_t b = blockIdx.x;

  for (std::size_t first = 0; first < run.neurons; first += blockDim.x) {
    const std::size_t i = first + threadIdx.x;
    const bool exists = i < run.neurons;
    const std::size_t at = b * run.neurons + (exists ? i : 0);
    const float* next_current = run.currents + at;
    typename Neuron::State state = neuron.begin(at);
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
        if (s < steps && exists)
          fires = neuron.step(state, current[s], std::size_t{start + s} * run.batch * run.neurons + at);
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
    if (exists) neuron.end(state, at);
  }
}

/// Queues all steps of all samples; run.batch and run.neurons are not 0.
template <class Neuron>
void launch_spiking_steps(const Neuron& neuron, const SpikingRun& run, const LaunchStream& on) {
  // Turns of equal length, each of whole warps.
  const unsigned turns = blocks_for(run.neurons, most_threads);
  const unsigned warps = blocks_for(blocks_for(run.neurons, turns), warp_size);
  launch(spiking_steps<Neuron>, static_cast<unsigned>(run.batch), warps * warp_size, 0, on, neuron, run);
}

}  // namespace orthospike
