#include "learning/nir/maps.hpp"

#include <algorithm>

namespace orthospike {

NirArray sizes_of(const std::vector<std::size_t>& sizes) {
  return {.shape = {sizes.size()}, .values = {sizes.begin(), sizes.end()}, .whole = true};
}

std::vector<std::size_t> channel_first(const MapShape& shape) {
  return {shape.channels, shape.height, shape.width};
}

namespace {

/// Rows of a [first × second] order in that of [second × first].
std::vector<float> exchanged(const std::vector<float>& weights, std::size_t first, std::size_t second) {
  const std::size_t targets = weights.size() / (first * second);
  std::vector<float> result(weights.size());
  for (std::size_t i = 0; i < first; ++i) {
    for (std::size_t j = 0; j < second; ++j)
      std::copy_n(weights.begin() + static_cast<std::ptrdiff_t>((i * second + j) * targets), targets,
                  result.begin() + static_cast<std::ptrdiff_t>((j * first + i) * targets));
  }
  return result;
}

}  // namespace

std::vector<float> channel_first_rows(const std::vector<float>& weights, const MapShape& map) {
  return exchanged(weights, map.height * map.width, map.channels);
}

std::vector<float> channel_last_rows(const std::vector<float>& weights, const MapShape& map) {
  return exchanged(weights, map.channels, map.height * map.width);
}

NirNode convolution_node(const Window& window, const std::vector<float>& weights,
                         const std::vector<float>& bias) {
  const std::size_t patch = window.patch(), channels = bias.size();
  const MapShape kernel{window.kernel, window.kernel, window.map.channels};
  const std::vector<float> rows = channel_first_rows(weights, kernel);
  std::vector<float> values(weights.size());
  for (std::size_t i = 0; i < patch; ++i) {
    for (std::size_t c = 0; c < channels; ++c) values[c * patch + i] = rows[i * channels + c];
  }
  return {.type = "Conv2d",
          .fields = {{"input_shape", sizes_of({window.map.height, window.map.width})},
                     {"weight",
                      {.shape = {channels, kernel.channels, kernel.height, kernel.width}, .values = values}},
                     {"stride", sizes_of({window.stride, window.stride})},
                     {"padding", sizes_of({window.padding, window.padding})},
                     {"dilation", sizes_of({1, 1})},
                     {"groups", {.shape = {}, .values = {1}, .whole = true}},
                     {"bias", {.shape = {channels}, .values = bias}}}};
}

NirNode pool_node(std::size_t size) {
  return {.type = "AvgPool2d",
          .fields = {{"kernel_size", sizes_of({size, size})},
                     {"stride", sizes_of({size, size})},
                     {"padding", sizes_of({0, 0})}}};
}

NirNode flatten_node(const MapShape& shape) {
  return {.type = "Flatten",
          .fields = {{"input_type", sizes_of(channel_first(shape))},
                     {"start_dim", {.shape = {}, .values = {0}, .whole = true}},
                     {"end_dim", {.shape = {}, .values = {-1}, .whole = true}}}};
}

}  // namespace orthospike
