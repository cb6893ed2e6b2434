#include "kernels/neurons.hpp"

#include "kernels/cuda/context.hpp"
#include "kernels/cuda/spiking.cuh"

namespace orthospike {

namespace {

/// One number of each field of a state, or where a field's numbers lie. Members one by one, not an array, so that all
/// of them are registers.
template <class T, std::size_t size>
struct Fields {
  T first;
  Fields<T, size - 1> rest;
};
template <class T>
struct Fields<T, 0> {};

/// call(field…) with references to all of them.
template <class T, std::size_t size, class Call, class... Before>
__device__ __forceinline__ auto with_fields(Fields<T, size>& fields, const Call& call, Before&... before) {
  if constexpr (size == 0) {
    return call(before...);
  } else {
    return with_fields(fields.rest, call, before..., fields.first);
  }
}

template <std::size_t size>
Fields<float*, size> addresses(const Matrix* matrices) {
  if constexpr (size == 0) {
    return {};
  } else {
    return {matrices->address(), addresses<size - 1>(matrices + 1)};
  }
}

template <std::size_t size>
__device__ __forceinline__ Fields<float, size> load(const Fields<float*, size>& from, std::size_t at) {
  if constexpr (size == 0) {
    return {};
  } else {
    return {from.first[at], load(from.rest, at)};
  }
}

template <std::size_t size>
__device__ __forceinline__ void store(const Fields<float, size>& values, const Fields<float*, size>& to,
                                      std::size_t at) {
  if constexpr (size > 0) {
    to.first[at] = values.first;
    store(values.rest, to.rest, at);
  }
}

/// The neurons of RunNeurons in the device's terms, for spiking_steps.
template <class Model>
struct Neurons {
  Model constants;
  const float* trained;
  bool from_rest;
  float inverse_steps;
  float inverse_weights;  ///< 1 / Σ of the averaging weights
  Fields<float*, state_size<Model>> state;
  Fields<float*, state_size<Model>> each_state;  ///< null where nobody needs it
  float* mean_output;
  float* margin;  ///< null where nobody needs it
  float* average_current;
  float* average_output;

  struct State {
    Model neuron;
    Fields<float, state_size<Model>> fields;
    float current_sum, spike_sum;
    std::uint32_t spike_count;
  };
  __device__ State begin(std::size_t at) const {
    State begun{loaded(constants, trained), {}, 0, 0, 0};
    if (!from_rest) begun.fields = load(state, at);
    return begun;
  }
  __device__ bool step(State& s, float current, std::size_t at) const {
    float above = 0;
    const bool fires = with_fields(s.fields, [&](auto&... field) {
      return s.neuron.step(ScalarOps<float>(), current, above, field...);
    });
    s.spike_count += fires ? 1U : 0U;
    if constexpr (HasAverages<Model>) {
      s.current_sum = fmaf(s.neuron.averaging_decay(), s.current_sum, current);
      s.spike_sum = fmaf(s.neuron.averaging_decay(), s.spike_sum, fires ? 1.0F : 0.0F);
    }
    if (margin != nullptr) margin[at] = above;
    if (each_state.first != nullptr) store(s.fields, each_state, at);
    return fires;
  }
  __device__ void end(const State& s, std::size_t at) const {
    store(s.fields, state, at);
    const auto height = s.neuron.template height<float>();
    mean_output[at] = height * static_cast<float>(s.spike_count) * inverse_steps;
    if constexpr (HasAverages<Model>) {
      average_current[at] = s.current_sum * inverse_weights;
      average_output[at] = s.spike_sum * height * inverse_weights;
    }
  }
};

constexpr unsigned backward_threads = 128;

/// One thread a neuron and sample, all steps. later: null where nothing follows.
template <class Model>
__global__ void __launch_bounds__(backward_threads)
    backward_steps(const Model neuron, const SurrogateDerivative derivative, std::size_t steps,
                   std::size_t size, std::size_t error_stride, const float* __restrict__ margin,
                   const float* output_error, const Fields<float*, state_size<Model>> later,
                   float* current_error) {
  const std::size_t at = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at >= size) return;
  Fields<float, state_size<Model>> carried{};
  if (later.first != nullptr) carried = load(later, at);
  for (std::size_t t = steps; t-- > 0;) {
    const float m = margin[t * size + at];
    const float error = output_error[t * error_stride + at];
    current_error[t * size + at] = with_fields(carried, [&](auto&... field) {
      return neuron.backward(ScalarOps<float>(), derivative, m, error, field...);
    });
  }
  if (later.first != nullptr) store(carried, later, at);
}

constexpr unsigned averages_threads = 256;

/// The derivative of each element; every block leaves its part of the gradient of what is trained, and the last to
/// finish adds all parts in the order of the blocks.
template <class Model>
__global__ void __launch_bounds__(averages_threads)
    backward_averages(const Model constants, float scale, float trained_scale,
                      const float* __restrict__ trained, const float* __restrict__ average_current,
                      std::size_t size, float* gradient, volatile double* partial_sums,
                      std::uint32_t* finished, float* trained_gradient) {
  const Model neuron = loaded(constants, trained);
  const ScalarOps<float> ops;
  double by_trained = 0;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < size;
       i += std::size_t{gridDim.x} * blockDim.x) {
    const float current = average_current[i], error = gradient[i];
    by_trained += static_cast<double>(neuron.by_trained(ops, current, error));
    gradient[i] = neuron.by_average_current(ops, scale, current, error);
  }
  by_trained = block_sum(by_trained);

  __shared__ bool is_last;
  if (threadIdx.x == 0) {
    partial_sums[blockIdx.x] = by_trained;
    __threadfence();  // the sum is visible before the block counts as finished
    is_last = atomicAdd(finished, 1U) == gridDim.x - 1;
  }
  __syncthreads();
  if (!is_last) return;

  double sum = 0;
  for (unsigned block = threadIdx.x; block < gridDim.x; block += blockDim.x) sum += partial_sums[block];
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    *trained_gradient = trained_scale * static_cast<float>(sum);
    *finished = 0;
  }
}

}  // namespace

template <class Model>
void execute(CudaContext& cuda, const RunNeurons<Model>& op) {
  float inverse_weights = 0;
  if constexpr (HasAverages<Model>) inverse_weights = static_cast<float>(1.0 / op.weight_sum());
  launch_spiking_steps(
      Neurons<Model>{.constants = op.neuron,
                     .trained = op.trained.address(),
                     .from_rest = op.from_rest,
                     .inverse_steps = 1.0F / static_cast<float>(op.steps),
                     .inverse_weights = inverse_weights,
                     .state = addresses<state_size<Model>>(op.state.data()),
                     .each_state = addresses<state_size<Model>>(op.each_state.data()),
                     .mean_output = op.outputs.mean_output.address(),
                     .margin = op.outputs.margin.empty() ? nullptr : op.outputs.margin.address(),
                     .average_current = op.outputs.average_current.address(),
                     .average_output = op.outputs.average_output.address()},
      {.steps = static_cast<std::uint32_t>(op.steps),
       .batch = op.batch(),
       .neurons = op.neurons(),
       .step_stride = op.step_stride(),
       .currents = op.currents.address(),
       .counts = op.outputs.spikes.counts.address(),
       .indices = op.outputs.spikes.indices.address()},
      cuda.stream);
}

template <class Model>
void execute(CudaContext& cuda, const NeuronsBackward<Model>& op) {
  const std::size_t size = op.step_size();
  launch(backward_steps<Model>, blocks_for(size, backward_threads), backward_threads, 0, cuda.stream,
         op.neuron, op.derivative, op.steps, size, op.step_stride(), op.margin, op.output_error,
         addresses<state_size<Model>>(op.later.data()), op.current_error);
}

template <class Model>
void execute(CudaContext& cuda, const AveragesBackward<Model>& op) {
  constexpr std::size_t elements_per_thread = 2;
  const std::size_t size = op.gradient.values.size();
  const unsigned wanted = blocks_for(size, averages_threads * elements_per_thread);
  // By size alone, so that sums have the same order on every device.
  const unsigned blocks = wanted < most_partial_sums ? wanted : most_partial_sums;
  launch(backward_averages<Model>, blocks, averages_threads, 0, cuda.stream, op.neuron, op.scale,
         op.neuron.trained_scale() * op.scale, op.trained, op.average_current, size, op.gradient,
         cuda.partial_sums(), cuda.finished(), op.trained_gradient);
}

template std::shared_ptr<NeuronSteps> make_family(CudaContext&, double&);

}  // namespace orthospike
