#include <thrust/for_each.h>
#include <thrust/iterator/counting_iterator.h>

#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/thrust_policy.cuh"
#include "kernels/random.hpp"
#include "kernels/synapses.hpp"

namespace orthospike {

namespace {

constexpr unsigned delivery_threads = 128;

struct DeviceSynapses {
  std::size_t sources, targets, block, delays;
  bool own_weights;
  const std::uint32_t* delay;
  const std::uint32_t* starts;
  const std::uint16_t* within;
  const float* weights;
};

/// Block (s, block of targets). It goes through the spikes that arrive one after another, so that sums have one order; its
/// threads share the synapses of a spike. Those onto the same target are neighbours: the first one's thread adds them all.
__global__ void __launch_bounds__(delivery_threads)
    deliver_synapses(DeviceSynapses table, const std::uint32_t* __restrict__ counts,
                     const std::uint32_t* __restrict__ indices, std::size_t ring, std::uint64_t now,
                     float beta, float* __restrict__ arriving) {
  const std::size_t s = blockIdx.x, block = blockIdx.y, first = block * table.block;
  const std::size_t targets = table.targets - first < table.block ? table.targets - first : table.block;
  float* const to = arriving + s * table.targets + first;
  for (std::size_t j = threadIdx.x; j < targets; j += blockDim.x) to[j] = beta == 0.0F ? 0.0F : beta * to[j];
  __syncthreads();
  for (std::size_t d = 0; d < table.delays; ++d) {
    if (table.delay[d] > now + s) break;
    const std::size_t row = (now + s - table.delay[d]) % ring;
    for (std::uint32_t spike = 0; spike < counts[row]; ++spike) {
      const std::uint32_t source = indices[row * table.sources + spike];
      const std::size_t at = (block * table.sources + source) * table.delays + d;
      const std::uint32_t start = table.starts[at], last = table.starts[at + 1];
      for (std::uint32_t k = start + threadIdx.x; k < last; k += blockDim.x) {
        const std::uint16_t target = table.within[k];
        if (k > start && table.within[k - 1] == target) continue;
        float sum = to[target];
        for (std::uint32_t same = k; same < last && table.within[same] == target; ++same)
          sum += table.weights[table.own_weights ? same : source];
        to[target] = sum;
      }
      __syncthreads();
    }
  }
}

struct PoissonNumber {
  RandomKey key;
  std::uint64_t start;
  const std::uint32_t* below;
  std::size_t size;
  float weight;
  float* values;
  __device__ void operator()(std::uint64_t i) const {
    const std::uint64_t element = start + i;
    const std::uint32_t word = random_block(key, element / 4).v[element % 4];
    std::size_t first = 0, last = size;  // of the bounds above the word
    while (first < last) {
      const std::size_t middle = first + (last - first) / 2;
      if (below[middle] <= word) {
        first = middle + 1;
      } else {
        last = middle;
      }
    }
    values[i] += weight * static_cast<float>(first);
  }
};

}  // namespace

void execute(CudaContext& cuda, const DeliverSynapses& op) {
  const SynapseTable& table = op.synapses;
  const DeviceSynapses on_device = {table.sources,          table.targets,          table.block,
                                    table.delays.size(),    table.own_weights,      table.delays.address(),
                                    table.starts.address(), table.within.address(), table.weights.address()};
  const dim3 grid(static_cast<unsigned>(op.arriving.rows), static_cast<unsigned>(table.blocks()));
  launch(deliver_synapses, grid, delivery_threads, 0, cuda.stream, on_device, op.spikes.counts,
         op.spikes.indices, op.spikes.rows, op.now, op.beta, op.arriving);
}

void execute(CudaContext& cuda, const AddPoisson& op) {
  thrust::for_each_n(thrust_policy(cuda.stream), thrust::counting_iterator<std::uint64_t>(0),
                     op.values.values.size(),
                     PoissonNumber{op.key, op.first * op.values.cols, op.below.address(), op.below.size(),
                                   op.weight, op.values.address()});
}

template std::shared_ptr<SynapseSteps> make_family(CudaContext&, double&);

}  // namespace orthospike
