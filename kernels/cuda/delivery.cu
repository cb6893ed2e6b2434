#include <limits>

#include "kernels/cuda/context.hpp"
#include "kernels/cuda/reduce.cuh"
#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"

namespace orthospike {

namespace {

/// Targets of one lane and of one block: the outgoing weights of a thousand neurons to a tile's targets
/// (256 KB) about fill the first-level cache.
constexpr unsigned targets_per_lane = 2;
constexpr unsigned tile = warp_size * targets_per_lane;
/// Events whose weights are read before the first is added, to have many reads in flight.
constexpr unsigned events_at_once = 8;

/// Each block computes a tile of targets (blockIdx.y) of `rows_per_block` rows, each warp one row at a time.
/// Sums are in the order of the events, whatever the division into blocks. Offset is an unsigned type that
/// holds neurons · targets: 32 bits make addresses cheap.
template <class Offset>
__global__ void __launch_bounds__(most_threads, 1)
    deliver_events(const std::uint32_t* __restrict__ counts, const std::uint32_t* __restrict__ indices,
                   std::size_t rows, std::size_t neurons, const float* __restrict__ weights,
                   std::size_t targets, const float* __restrict__ height, float dt, unsigned rows_per_block,
                   float* __restrict__ currents) {
  const unsigned lane = lane_number();
  const float scale = *height / dt;

  // Lanes beyond the last target read its weight, so that the loops need no conditions.
  Offset column[targets_per_lane];
  for (unsigned c = 0; c < targets_per_lane; ++c) {
    const std::size_t target = std::size_t{blockIdx.y} * tile + c * warp_size + lane;
    column[c] = static_cast<Offset>(target < targets ? target : targets - 1);
  }

  const std::size_t first = std::size_t{blockIdx.x} * rows_per_block;
  const std::size_t last = first + rows_per_block < rows ? first + rows_per_block : rows;
  for (std::size_t row = first + warp_number(); row < last; row += blockDim.x / warp_size) {
    const std::uint32_t* const events = indices + row * neurons;
    const std::uint32_t count = counts[row];
    float sum[targets_per_lane] = {};
    for (std::uint32_t start = 0; start < count; start += warp_size) {
      const unsigned left = min(count - start, warp_size);
      // Each lane finds the weights of one event for all.
      const Offset own = lane < left ? events[start + lane] * static_cast<Offset>(targets) : 0;
      unsigned event = 0;
      for (; event + events_at_once <= left; event += events_at_once) {
        float weight[events_at_once][targets_per_lane];
        for (unsigned e = 0; e < events_at_once; ++e) {
          const Offset from = __shfl_sync(whole_warp, own, static_cast<int>(event + e));
          for (unsigned c = 0; c < targets_per_lane; ++c)
            weight[e][c] = __ldg(weights + static_cast<Offset>(from + column[c]));
        }
        for (unsigned e = 0; e < events_at_once; ++e)
          for (unsigned c = 0; c < targets_per_lane; ++c) sum[c] += weight[e][c];
      }
      for (; event < left; ++event) {
        const Offset from = __shfl_sync(whole_warp, own, static_cast<int>(event));
        for (unsigned c = 0; c < targets_per_lane; ++c)
          sum[c] += __ldg(weights + static_cast<Offset>(from + column[c]));
      }
    }
    for (unsigned c = 0; c < targets_per_lane; ++c) {
      const std::size_t target = std::size_t{blockIdx.y} * tile + c * warp_size + lane;
      if (target < targets) currents[row * targets + target] = scale * sum[c];
    }
  }
}

constexpr unsigned expand_threads = 256;

/// One block a row: active[row, :] ← height / dt where the neuron spikes, else 0; height null is 1.
__global__ void __launch_bounds__(expand_threads)
    expand_events(const std::uint32_t* __restrict__ counts, const std::uint32_t* __restrict__ indices,
                  std::size_t neurons, const float* __restrict__ height, float dt,
                  float* __restrict__ active) {
  const float value = (height == nullptr ? 1.0F : *height) / dt;
  const std::size_t row = blockIdx.x;
  float* const out = active + row * neurons;
  for (std::size_t i = threadIdx.x; i < neurons; i += blockDim.x) out[i] = 0.0F;
  __syncthreads();
  const std::uint32_t* const events = indices + row * neurons;
  for (std::uint32_t event = threadIdx.x; event < counts[row]; event += blockDim.x)
    out[events[event]] = value;
}

/// One block.
__global__ void __launch_bounds__(most_threads)
    add_counts(const std::uint32_t* __restrict__ counts, std::size_t rows, std::uint64_t* total) {
  unsigned long long sum = 0;
  for (std::size_t row = threadIdx.x; row < rows; row += blockDim.x) sum += counts[row];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *total += sum;
}

/// Rows that one block of deliver_events computes: whole warps full.
///
/// Where a tile's weights fit in the first-level cache, each multiprocessor gets one tile and as many rows as
/// leave it one block, so that it reads those weights from farther away only once. Where they do not, each
/// warp gets one row: blocks of the same tile are neighbours, the blocks that run at a time share few tiles,
/// and those stay in the second-level cache.
unsigned rows_per_block(std::size_t rows, std::size_t neurons, std::size_t tiles, int multiprocessors) {
  constexpr std::size_t cached_bytes = 224 * 1024;
  constexpr std::size_t most_rows = 1024;
  if (neurons * tile * sizeof(float) > cached_bytes) return most_warps;
  const auto blocks = static_cast<std::size_t>(multiprocessors);
  const std::size_t wanted = (rows * tiles + blocks - 1) / blocks;
  const std::size_t whole_warps = (wanted + most_warps - 1) / most_warps * most_warps;
  return static_cast<unsigned>(whole_warps < most_rows ? whole_warps : most_rows);
}

}  // namespace

/// DeliveryForm::automatic is the one along events: to choose by the density the host would have to wait for it,
/// and at the densities of trained networks (some 7 %) events win by far.
void execute(CudaContext& cuda, const Deliver& op) {
  if (op.form == DeliveryForm::dense) {
    const Matrix active = cuda.scratch(op.spikes.rows, op.spikes.neurons);
    launch(expand_events, static_cast<unsigned>(op.spikes.rows), expand_threads, 0, cuda.stream,
           op.spikes.counts, op.spikes.indices, op.spikes.neurons, op.height, op.dt, active);
    execute(cuda, Multiply{.a = active, .b = op.weights, .c = op.currents});
    return;
  }
  const unsigned tiles = blocks_for(op.weights.cols, tile);
  const unsigned rows = rows_per_block(op.spikes.rows, op.spikes.neurons, tiles, cuda.multiprocessors);
  const bool small = op.spikes.neurons * op.weights.cols <= std::numeric_limits<std::uint32_t>::max();
  launch(small ? deliver_events<std::uint32_t> : deliver_events<std::uint64_t>,
         dim3(blocks_for(op.spikes.rows, rows), tiles), most_threads, 0, cuda.stream, op.spikes.counts,
         op.spikes.indices, op.spikes.rows, op.spikes.neurons, op.weights, op.weights.cols, op.height, op.dt,
         rows, op.currents);
}

void execute(CudaContext& cuda, const ExpandSpikes& op) {
  launch(expand_events, static_cast<unsigned>(op.spikes.rows), expand_threads, 0, cuda.stream,
         op.spikes.counts, op.spikes.indices, op.spikes.neurons, op.height, op.dt, op.x);
}

/// A dense product: on a device it is faster than adding to rows in a fixed order.
void execute(CudaContext& cuda, const Correlate& op) {
  const Matrix active = cuda.scratch(op.spikes.rows, op.spikes.neurons);
  execute(cuda, ExpandSpikes{.spikes = op.spikes, .x = active});
  execute(
      cuda,
      Multiply{.alpha = op.alpha, .a = active, .transpose_a = true, .b = op.b, .beta = op.beta, .c = op.c});
}

void execute(CudaContext& cuda, const CountSpikes& op) {
  launch(add_counts, 1, most_threads, 0, cuda.stream, op.counts, op.counts.size(), op.total);
}

template std::shared_ptr<SpikeDelivery> make_family(CudaContext&, double&);

}  // namespace orthospike
