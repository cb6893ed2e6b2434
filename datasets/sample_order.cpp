#include "datasets/sample_order.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "kernels/random.hpp"

namespace orthospike {

std::vector<std::uint32_t> shuffled_order(std::size_t count, const RandomKey& key) {
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  for (std::size_t left = count; left > 1; --left) {
    const std::uint32_t word = random_block(key, left / 4).v[left % 4];
    std::swap(order[left - 1], order[bounded(word, static_cast<std::uint32_t>(left))]);
  }
  return order;
}

std::vector<std::uint32_t> stratified_samples(std::span<const std::uint8_t> labels, std::size_t count,
                                              const RandomKey& key) {
  constexpr std::size_t classes = std::numeric_limits<std::uint8_t>::max() + 1;
  std::array<std::size_t, classes> sizes{}, wanted{}, left_over{};
  for (const std::uint8_t label : labels) ++sizes[label];
  std::size_t missing = count;
  for (std::size_t c = 0; c < classes && !labels.empty(); ++c) {
    wanted[c] = count * sizes[c] / labels.size();
    left_over[c] = count * sizes[c] % labels.size();
    missing -= wanted[c];
  }
  std::array<std::size_t, classes> order{};
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, std::greater(), [&](std::size_t c) { return left_over[c]; });
  for (std::size_t i = 0; i < missing; ++i) ++wanted[order[i]];

  std::vector<std::uint32_t> samples;
  for (const std::uint32_t sample : shuffled_order(labels.size(), key)) {
    if (wanted[labels[sample]] == 0) continue;
    --wanted[labels[sample]];
    samples.push_back(sample);
  }
  return samples;
}

TaskPosition mixed_position(TaskPosition at, std::span<const std::size_t> lengths, double mixing,
                            std::uint64_t seed) {
  /// On either side of the boundary behind a task.
  const auto width_behind = [&](std::size_t task) {
    return static_cast<std::size_t>(mixing * static_cast<double>(std::min(lengths[task], lengths[task + 1])) /
                                    2);
  };
  const std::size_t length = lengths[at.task];
  const std::size_t before = at.task > 0 ? width_behind(at.task - 1) : 0;
  const std::size_t behind = at.task + 1 < lengths.size() ? width_behind(at.task) : 0;
  const bool near_start = at.position < before, near_end = at.position >= length - behind;
  if (!near_start && !near_end) return at;
  const std::size_t width = near_end ? behind : before;
  const std::size_t i = near_end ? at.position - (length - width) : width - 1 - at.position;
  const std::size_t boundary = near_end ? at.task : at.task - 1;
  const RandomBlock block =
      random_block({seed, RandomPurpose::task_mixing, static_cast<std::uint32_t>(boundary)}, i / 4);
  const double next = (static_cast<double>(i) + 0.5) / (2 * static_cast<double>(width));
  if (unit_uniform(block.v[i % 4]) >= next) return at;
  if (near_end) return {.task = at.task + 1, .position = length - 1 - at.position};
  return {.task = at.task - 1, .position = lengths[at.task - 1] - 1 - at.position};
}

}  // namespace orthospike
