#pragma once

#include <algorithm>

#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"
#include "kernels/maps.hpp"

namespace orthospike {

/// CorrelateConvolved as dense products with all patches, of some rows at a time, for devices that have the other
/// operations and scratch memory.
template <class Device>
void correlate_densely(Device& device, const CorrelateConvolved& op) {
  constexpr std::size_t patch_values = 1U << 20U;  // fit the processors' caches
  const std::size_t places = op.window.places(), patch = op.window.patch();
  const std::size_t spiking = op.spikes.neurons, pooled = op.pooled == 1 ? 0 : op.window.map.size();
  const std::size_t most = std::max<std::size_t>(1, patch_values / (places * patch));
  for (std::size_t first = 0; first < op.b.rows; first += most) {
    const std::size_t rows = std::min(most, op.b.rows - first);
    const View<float> room = device.scratch(rows, spiking + pooled + places * patch).values;
    const Matrix spikes = {room.subview(0, rows * spiking), rows, spiking};
    const Matrix squares = {room.subview(rows * spiking, rows * pooled), rows, pooled};
    const Matrix patches = {room.subview(rows * (spiking + pooled), rows * places * patch), rows * places,
                            patch};
    execute(device,
            ExpandSpikes{
                .spikes = op.spikes.row_range(first, rows), .height = op.height, .dt = op.dt, .x = spikes});
    if (pooled > 0) {
      const MapShape map = {op.window.map.height * op.pooled, op.window.map.width * op.pooled,
                            op.window.map.channels};
      execute(device, Pool{.maps = spikes, .map = map, .size = op.pooled, .pooled = squares});
    }
    execute(device, Unfold{.maps = pooled > 0 ? squares : spikes, .window = op.window, .patches = patches});
    execute(device, Multiply{.a = patches,
                             .transpose_a = true,
                             .b = {op.b.row_range(first, rows).values, rows * places, op.sum.cols},
                             .beta = first == 0 ? op.beta : 1.0F,
                             .c = op.sum});
  }
}

}  // namespace orthospike
