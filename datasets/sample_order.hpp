#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/random_key.hpp"

namespace orthospike {

/// The numbers 0 … count - 1 in random order (Fisher and Yates), count < 2^32.
std::vector<std::uint32_t> shuffled_order(std::size_t count, const RandomKey& key);

/// Numbers of `count` of the samples with these labels, drawn by `key` without replacement, of each class in proportion to
/// its share: a class of n of N samples has ⌊count · n / N⌋, or one more where most is left over. In random order.
/// count <= labels.size() < 2^32.
std::vector<std::uint32_t> stratified_samples(std::span<const std::uint8_t> labels, std::size_t count,
                                              const RandomKey& key);

/// A position in the samples that a task shows.
struct TaskPosition {
  std::size_t task;
  std::size_t position;
};

/// What is shown at position `at` of a sequence of tasks with so many samples each, whose boundaries are gradual. Around
/// each, position i = 0 … 2w - 1 of a window with w = ⌊mixing · length / 2⌋ on either side, of the length of the
/// shorter of the two tasks, is of the next task with probability (i + 1/2) / 2w: that of i < w is the one with which
/// positions i and 2w - 1 - i change places, so that every task shows what it would without mixing. mixing is 0 … 1.
TaskPosition mixed_position(TaskPosition at, std::span<const std::size_t> lengths, double mixing,
                            std::uint64_t seed);

}  // namespace orthospike
