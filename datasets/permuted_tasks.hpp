#pragma once

#include <cstdint>
#include <vector>

#include "kernels/random.hpp"

namespace orthospike {

/// One task of a sequence over the same images: the order in which it shows their pixels.
struct PermutedTask {
  std::vector<std::uint32_t> pixel_order;  ///< input j of the network is pixel pixel_order[j]
};

/// `count` tasks with independent random pixel orders, the first one permuted too (method: permuted MNIST as
/// in Goodfellow et al. 2014; the published HLOP settings permute every task).
std::vector<PermutedTask> permuted_tasks(std::size_t count, std::size_t pixels, std::uint64_t seed);

/// The numbers 0 … count - 1 in random order (Fisher and Yates), count < 2^32.
std::vector<std::uint32_t> shuffled_order(std::size_t count, const RandomKey& key);

}  // namespace orthospike
