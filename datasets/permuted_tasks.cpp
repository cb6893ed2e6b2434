#include "datasets/permuted_tasks.hpp"

#include <numeric>
#include <utility>

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

}  // namespace orthospike
