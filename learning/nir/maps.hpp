#pragma once

#include <optional>
#include <vector>

#include "kernels/map_shape.hpp"
#include "learning/nir/file.hpp"

namespace orthospike {

// Maps are channel first in NIR, [channels, height, width], and channel last here.

/// As a list of numbers.
NirArray sizes_of(const std::vector<std::size_t>& sizes);
std::vector<std::size_t> channel_first(const MapShape& shape);
/// [map × targets] with its rows in NIR's order.
std::vector<float> channel_first_rows(const std::vector<float>& weights, const MapShape& map);
/// The other way.
std::vector<float> channel_last_rows(const std::vector<float>& weights, const MapShape& map);

/// [rows × columns] to [columns × rows]
std::vector<float> transposed(const std::vector<float>& matrix, std::size_t rows, std::size_t columns);

/// Weights of a convolution [patch × channels / groups] from those of a Conv2d [channels, map channels / groups, kernel,
/// kernel].
std::vector<float> convolution_weights(const Window& window, const std::vector<float>& values);
/// To which of `channels`, of a convolution's output or without a window of neurons, the weight at `at` leads.
std::size_t channel_of_weight(const std::optional<Window>& window, std::size_t channels, std::size_t at);
/// weights [patch × channels / groups], bias [channels]
NirNode convolution_node(const Window& window, const std::vector<float>& weights,
                         const std::vector<float>& bias);
NirNode pool_node(std::size_t size);
NirNode flatten_node(const MapShape& shape);

}  // namespace orthospike
