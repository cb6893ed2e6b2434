#include "kernels/cuda/context.hpp"
#include "kernels/cuda/spiking.cuh"
#include "kernels/lif.hpp"

namespace orthospike {

namespace {

/// The neurons of RunLif in the device's terms.
struct LifNeuron {
  Lif constants;
  bool from_rest;
  float inverse_steps;
  float* synapse;
  float* potential;
  float* adaptation;
  float* mean_output;
  float* margin;  ///< null where nobody needs it

  struct State {
    float c, v, a;
    std::uint32_t spike_count;
  };
  __device__ State begin(std::size_t at) const {
    if (from_rest) return {0, 0, 0, 0};
    return {synapse[at], potential[at], adaptation[at], 0};
  }
  __device__ bool step(State& s, float current, std::size_t at) const {
    s.c = fmaf(constants.synapse_decay, s.c, current);
    s.v = fmaf(constants.decay, s.v, s.c);
    const float m = fmaf(-constants.adaptation, s.a, s.v - constants.threshold);
    const bool fires = m >= 0.0F;
    if (fires) s.v = constants.hard_reset ? 0.0F : s.v - constants.threshold;
    s.a = fmaf(constants.adaptation_decay, s.a, fires ? 1.0F : 0.0F);
    s.spike_count += fires ? 1U : 0U;
    if (margin != nullptr) margin[at] = m;
    return fires;
  }
  __device__ void end(const State& s, std::size_t at) const {
    synapse[at] = s.c;
    potential[at] = s.v;
    adaptation[at] = s.a;
    mean_output[at] = static_cast<float>(s.spike_count) * inverse_steps;
  }
};

__device__ float surrogate_derivative(Surrogate surrogate, float slope, float margin) {
  const float x = fabsf(slope * margin);
  switch (surrogate) {
    case Surrogate::sigmoid: {
      const float e = expf(-x);
      return slope * e / ((1.0F + e) * (1.0F + e));
    }
    case Surrogate::arctan: {
      const float y = static_cast<float>(1.57079632679489662) * x;
      return slope / 2.0F / (1.0F + y * y);
    }
    case Surrogate::fast_sigmoid:
      return 1.0F / ((1.0F + x) * (1.0F + x));
    case Surrogate::triangle:
      break;
  }
  return slope * (x < 1.0F ? 1.0F - x : 0.0F);
}

/// What LifBackward carries from step to step; null where nothing follows.
struct LaterErrors {
  float* v;
  float* c;
  float* a;
};

constexpr unsigned backward_threads = 128;

/// One thread a neuron and sample, all steps.
__global__ void __launch_bounds__(backward_threads)
    lif_errors(const Lif neuron, const LifDerivative derivative, std::size_t steps, std::size_t size,
               std::size_t error_stride, const float* __restrict__ margin, const float* output_error,
               const LaterErrors later, float* current_error) {
  const std::size_t at = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at >= size) return;
  const float decay = derivative.through_time ? neuron.decay : 0.0F;
  const float synapse_decay = derivative.through_time ? neuron.synapse_decay : 0.0F;
  float later_v = 0, later_c = 0, later_a = 0;
  if (later.v != nullptr) {
    later_v = later.v[at];
    later_c = later.c[at];
    later_a = later.a[at];
  }
  for (std::size_t t = steps; t-- > 0;) {
    const float m = margin[t * size + at];
    const float through_v = decay * later_v;
    float g_s = output_error[t * error_stride + at] + later_a;
    if (!derivative.detached_reset)
      g_s -= (neuron.hard_reset ? m + neuron.threshold : neuron.threshold) * through_v;
    const float g_m = surrogate_derivative(derivative.surrogate, derivative.slope, m) * g_s;
    later_v = g_m + (neuron.hard_reset && m >= 0.0F ? 0.0F : through_v);
    later_a = neuron.adaptation_decay * later_a - neuron.adaptation * g_m;
    later_c = later_v + synapse_decay * later_c;
    current_error[t * size + at] = later_c;
  }
  if (later.v == nullptr) return;
  later.v[at] = later_v;
  later.c[at] = later_c;
  later.a[at] = later_a;
}

}  // namespace

void execute(CudaContext& cuda, const RunLif& op) {
  launch_spiking_steps(LifNeuron{.constants = op.neuron,
                                 .from_rest = op.from_rest,
                                 .inverse_steps = 1.0F / static_cast<float>(op.steps),
                                 .synapse = op.state.synapse.address(),
                                 .potential = op.state.potential.address(),
                                 .adaptation = op.state.adaptation.address(),
                                 .mean_output = op.outputs.mean_output.address(),
                                 .margin = op.outputs.margin.empty() ? nullptr : op.outputs.margin.address()},
                       {.steps = static_cast<std::uint32_t>(op.steps),
                        .batch = op.batch(),
                        .neurons = op.neurons(),
                        .step_stride = op.step_stride(),
                        .currents = op.currents.address(),
                        .counts = op.outputs.spikes.counts.address(),
                        .indices = op.outputs.spikes.indices.address()},
                       cuda.stream);
}

void execute(CudaContext& cuda, const LifBackward& op) {
  const std::size_t size = op.step_size();
  LaterErrors carried{};
  if (!op.later.potential.empty()) {
    carried = {.v = op.later.potential.address(),
               .c = op.later.synapse.address(),
               .a = op.later.adaptation.address()};
  }
  launch(lif_errors, blocks_for(size, backward_threads), backward_threads, 0, cuda.stream, op.neuron,
         op.derivative, op.steps, size, op.step_stride(), op.margin, op.output_error, carried,
         op.current_error);
}

template std::shared_ptr<LifNeurons> make_family(CudaContext&, double&);

}  // namespace orthospike
