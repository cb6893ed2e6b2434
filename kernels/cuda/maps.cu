#include "kernels/correlate_densely.hpp"
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/maps.hpp"

namespace orthospike {

namespace {

constexpr unsigned map_threads = 256;

// Each of these gives every element of what it writes a thread, which adds in a fixed order.

__device__ std::size_t own_element() {
  return std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
}

/// What an output keeps; with beta 0 it need not hold a number.
__device__ float kept(float beta, const float* value) {
  return beta == 0.0F ? 0.0F : beta * *value;
}

/// A row and column of an image, and a channel.
struct Position {
  std::size_t y, x, c;
};

__device__ Position position(std::size_t element, std::size_t width, std::size_t channels) {
  const std::size_t pixel = element / channels;
  return {pixel / width, pixel % width, element % channels};
}

__global__ void __launch_bounds__(map_threads) unfold_maps(const float* __restrict__ maps, Window window,
                                                           std::size_t size, float* __restrict__ patches) {
  const std::size_t at = own_element();
  if (at >= size) return;
  const std::size_t patch = at / window.patch(), row = patch / window.places();
  const Place from = window.place(patch % window.places());
  const Position in_patch = position(at % window.patch(), window.kernel, window.map.channels);
  // What lies before the map wraps to numbers that lie behind it.
  const std::size_t y = from.y * window.stride + in_patch.y - window.padding;
  const std::size_t x = from.x * window.stride + in_patch.x - window.padding;
  const bool inside =
      y < window.map.height && x < window.map.width && in_patch.c / window.group_channels() == from.group;
  patches[at] = inside ? maps[row * window.map.size() + window.map.pixel(y, x) + in_patch.c] : 0.0F;
}

__global__ void __launch_bounds__(map_threads)
    fold_patches(const float* __restrict__ patches, Window window, float beta, std::size_t size,
                 float* __restrict__ maps) {
  const std::size_t at = own_element();
  if (at >= size) return;
  const std::size_t row = at / window.map.size();
  const Position here = position(at % window.map.size(), window.map.width, window.map.channels);
  const Stretch rows = window.rows_seeing(here.y), columns = window.columns_seeing(here.x);
  const std::size_t group = here.c / window.group_channels();
  float sum = kept(beta, maps + at);
  for (std::size_t oy = rows.first; oy < rows.last; ++oy) {
    for (std::size_t ox = columns.first; ox < columns.last; ++ox) {
      const std::size_t patch = (row * window.out_height() + oy) * window.out_width() + ox;
      const std::size_t pixel =
          window.patch_pixel(window.in_kernel(oy, here.y), window.in_kernel(ox, here.x));
      sum += patches[(patch * window.groups + group) * window.patch() + pixel + here.c];
    }
  }
  maps[at] = sum;
}

__global__ void __launch_bounds__(map_threads)
    pool_maps(const float* __restrict__ maps, MapShape map, std::size_t square, std::size_t size,
              float* __restrict__ pooled) {
  const std::size_t at = own_element();
  if (at >= size) return;
  const MapShape to = map.pooled(square);
  const float* const from = maps + at / to.size() * map.size();
  const Position here = position(at % to.size(), to.width, to.channels);
  float sum = 0;
  for (std::size_t dy = 0; dy < square; ++dy) {
    for (std::size_t dx = 0; dx < square; ++dx)
      sum += from[map.pixel(here.y * square + dy, here.x * square + dx) + here.c];
  }
  pooled[at] = sum / static_cast<float>(square * square);
}

__global__ void __launch_bounds__(map_threads)
    unpool_maps(const float* __restrict__ pooled, MapShape map, std::size_t square, float beta,
                std::size_t size, float* __restrict__ maps) {
  const std::size_t at = own_element();
  if (at >= size) return;
  const MapShape from = map.pooled(square);
  const Position here = position(at % map.size(), map.width, map.channels);
  const std::size_t y = here.y / square, x = here.x / square;
  float value = kept(beta, maps + at);
  if (y < from.height && x < from.width) {
    const std::size_t element = at / map.size() * from.size() + from.pixel(y, x) + here.c;
    value += pooled[element] / static_cast<float>(square * square);
  }
  maps[at] = value;
}

/// The first of the ascending events [first, last) that is not below the neuron.
__device__ std::uint32_t first_event(const std::uint32_t* __restrict__ events, std::uint32_t first,
                                     std::uint32_t last, std::size_t neuron) {
  while (first < last) {
    const std::uint32_t middle = first + (last - first) / 2;
    if (events[middle] < neuron) {
      first = middle + 1;
    } else {
      last = middle;
    }
  }
  return first;
}

/// The neurons of one row of the spiking map that the kernel sees from a place are neighbours, and so are their events:
/// a thread finds these by bisection, once for each such row. All threads of a warp that have the same place find the
/// same events and read neighbouring weights.
__global__ void __launch_bounds__(map_threads)
    deliver_convolved(const std::uint32_t* __restrict__ counts, const std::uint32_t* __restrict__ indices,
                      const float* __restrict__ height, float dt, std::size_t pooled, Window window,
                      const float* __restrict__ weights, std::size_t targets,
                      const float* __restrict__ offset, std::size_t size, float* __restrict__ currents) {
  const std::size_t at = own_element();
  if (at >= size) return;
  const std::size_t target = at % targets, row = at / targets / window.places();
  const Place from = window.place(at / targets % window.places());
  const Stretch rows = window.rows_seen(from.y), columns = window.columns_seen(from.x);
  const MapShape spiking = {window.map.height * pooled, window.map.width * pooled, window.map.channels};
  const std::uint32_t* const events = indices + row * spiking.size();
  const std::uint32_t count = counts[row];

  float sum = 0;
  std::uint32_t event = 0;
  for (std::size_t y = rows.first * pooled; y < rows.last * pooled; ++y) {
    const std::size_t first = spiking.pixel(y, columns.first * pooled),
                      last = spiking.pixel(y, columns.last * pooled);
    const std::size_t in_patch =
        window.patch_pixel(window.in_kernel(from.y, y / pooled), window.in_kernel(from.x, columns.first));
    event = first_event(events, event, count, first);
    for (; event < count && events[event] < last; ++event) {
      const Position seen = position(events[event] - first, spiking.width, spiking.channels);
      if (window.groups > 1 && seen.c / window.group_channels() != from.group) continue;
      const std::size_t element = in_patch + seen.x / pooled * spiking.channels + seen.c;
      sum += __ldg(weights + element * targets + target);
    }
  }
  const float scale = *height / (dt * static_cast<float>(pooled * pooled));
  currents[at] = offset == nullptr ? scale * sum : scale * sum + __ldg(offset + target);
}

}  // namespace

void execute(CudaContext& cuda, const Unfold& op) {
  const std::size_t size = op.patches.values.size();
  launch(unfold_maps, blocks_for(size, map_threads), map_threads, 0, cuda.stream, op.maps, op.window, size,
         op.patches);
}

void execute(CudaContext& cuda, const Fold& op) {
  const std::size_t size = op.maps.values.size();
  launch(fold_patches, blocks_for(size, map_threads), map_threads, 0, cuda.stream, op.patches, op.window,
         op.beta, size, op.maps);
}

void execute(CudaContext& cuda, const Pool& op) {
  const std::size_t size = op.pooled.values.size();
  launch(pool_maps, blocks_for(size, map_threads), map_threads, 0, cuda.stream, op.maps, op.map, op.size,
         size, op.pooled);
}

void execute(CudaContext& cuda, const Unpool& op) {
  const std::size_t size = op.maps.values.size();
  launch(unpool_maps, blocks_for(size, map_threads), map_threads, 0, cuda.stream, op.pooled, op.map, op.size,
         op.beta, size, op.maps);
}

void execute(CudaContext& cuda, const DeliverConvolved& op) {
  const std::size_t size = op.currents.values.size();
  launch(deliver_convolved, blocks_for(size, map_threads), map_threads, 0, cuda.stream, op.spikes.counts,
         op.spikes.indices, op.height, op.dt, op.pooled, op.window, op.weights, op.weights.cols,
         op.offset.empty() ? nullptr : op.offset.address(), size, op.currents);
}

/// As in Correlate: on a device dense products are faster than adding to rows in a fixed order.
void execute(CudaContext& cuda, const CorrelateConvolved& op) {
  correlate_densely(cuda, op);
}

template std::shared_ptr<Maps> make_family(CudaContext&, double&);

}  // namespace orthospike
