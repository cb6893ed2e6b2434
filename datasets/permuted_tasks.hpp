#pragma once

#include <cstdint>
#include <vector>

#include "kernels/random_key.hpp"

namespace orthospike {

/// One task of a sequence over the same images: the order in which it shows their pixels.
struct PermutedTask {
  std::vector<std::uint32_t> pixel_order;  ///< input j of the network is pixel pixel_order[j]
};

/// `count` tasks with independent random pixel orders, the first one permuted too (method: permuted MNIST as
/// in Goodfellow et al. 2014; the published HLOP settings permute every task).
std::vector<PermutedTask> permuted_tasks(std::size_t count, std::size_t pixels, std::uint64_t seed);

/// A position in the samples that a task shows.
struct TaskPosition {
  std::size_t task;
  std::size_t position;
};

/// What is shown at position `at` of a sequence of `tasks` tasks, `length` samples each, whose boundaries are
/// gradual. Around each, position i = 0 … 2w - 1 of a window with w = ⌊mixing · length / 2⌋ on either side is of
/// the next task with probability (i + 1/2) / 2w: that of i < w is the one with which positions i and 2w - 1 - i
/// change places, so that every task shows what it would without mixing. mixing is 0 … 1.
TaskPosition mixed_position(TaskPosition at, std::size_t tasks, std::size_t length, double mixing,
                            std::uint64_t seed);

/// The numbers 0 … count - 1 in random order (Fisher and Yates), count < 2^32.
std::vector<std::uint32_t> shuffled_order(std::size_t count, const RandomKey& key);

}  // namespace orthospike
