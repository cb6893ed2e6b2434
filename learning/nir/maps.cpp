#include "learning/nir/maps.hpp"

#include <algorithm>
#include <iterator>

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

std::vector<float> transposed(const std::vector<float>& matrix, std::size_t rows, std::size_t columns) {
  std::vector<float> result(matrix.size());
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) result[j * rows + i] = matrix[i * columns + j];
  }
  return result;
}

namespace {

MapShape kernel_of(const Window& window) {
  return {window.kernel, window.kernel, window.map.channels};
}

}  // namespace

// Each group of channels has rows of its own: channel first they follow one another.

std::vector<float> convolution_weights(const Window& window, const std::vector<float>& values) {
  const std::size_t patch = window.patch() / window.groups, outputs = values.size() / window.patch();
  std::vector<float> rows;
  for (std::size_t group = 0; group < window.groups; ++group) {
    const auto of_group = values.begin() + static_cast<std::ptrdiff_t>(group * outputs * patch);
    const std::vector<float> block(of_group, of_group + static_cast<std::ptrdiff_t>(outputs * patch));
    std::ranges::copy(transposed(block, outputs, patch), std::back_inserter(rows));
  }
  return channel_last_rows(rows, kernel_of(window));
}

std::size_t channel_of_weight(const std::optional<Window>& window, std::size_t channels, std::size_t at) {
  if (!window) return at % channels;
  const std::size_t outputs = channels / window->groups, channel = at / outputs % window->map.channels;
  return channel / window->group_channels() * outputs + at % outputs;
}

NirNode convolution_node(const Window& window, const std::vector<float>& weights,
                         const std::vector<float>& bias) {
  const std::size_t patch = window.patch() / window.groups, outputs = bias.size() / window.groups;
  const std::vector<float> rows = channel_first_rows(weights, kernel_of(window));
  std::vector<float> values;
  for (std::size_t group = 0; group < window.groups; ++group) {
    const auto of_group = rows.begin() + static_cast<std::ptrdiff_t>(group * patch * outputs);
    const std::vector<float> block(of_group, of_group + static_cast<std::ptrdiff_t>(patch * outputs));
    std::ranges::copy(transposed(block, patch, outputs), std::back_inserter(values));
  }
  return {.type = "Conv2d",
          .fields = {{"input_shape", sizes_of({window.map.height, window.map.width})},
                     {"weight",
                      {.shape = {bias.size(), window.group_channels(), window.kernel, window.kernel},
                       .values = values}},
                     {"stride", sizes_of({window.stride, window.stride})},
                     {"padding", sizes_of({window.padding, window.padding})},
                     {"dilation", sizes_of({1, 1})},
                     {"groups", {.shape = {}, .values = {static_cast<float>(window.groups)}, .whole = true}},
                     {"bias", {.shape = {bias.size()}, .values = bias}}}};
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
