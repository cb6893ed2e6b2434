#include "datasets/permuted_tasks.hpp"

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

std::vector<PermutedTask> permuted_tasks(std::size_t count, std::size_t pixels, std::uint64_t seed) {
  std::vector<PermutedTask> tasks(count);
  for (std::size_t k = 0; k < count; ++k) {
    tasks[k].pixel_order =
        shuffled_order(pixels, {seed, RandomPurpose::pixel_order, static_cast<std::uint32_t>(k)});
  }
  return tasks;
}

TaskPosition mixed_position(TaskPosition at, std::size_t tasks, std::size_t length, double mixing,
                            std::uint64_t seed) {
  const auto width = static_cast<std::size_t>(mixing * static_cast<double>(length) / 2);
  const bool near_start = at.task > 0 && at.position < width;
  const bool near_end = at.task + 1 < tasks && at.position >= length - width;
  if (!near_start && !near_end) return at;
  const std::size_t i = near_end ? at.position - (length - width) : width - 1 - at.position;
  const std::size_t boundary = near_end ? at.task : at.task - 1;
  const RandomBlock block =
      random_block({seed, RandomPurpose::task_mixing, static_cast<std::uint32_t>(boundary)}, i / 4);
  const double next = (static_cast<double>(i) + 0.5) / (2 * static_cast<double>(width));
  if (unit_uniform(block.v[i % 4]) >= next) return at;
  return {.task = near_end ? at.task + 1 : at.task - 1, .position = length - 1 - at.position};
}

}  // namespace orthospike
