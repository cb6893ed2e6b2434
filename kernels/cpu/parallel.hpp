#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/cpu/thread_pool.hpp"

namespace orthospike {

/// ThreadPool::for_each over ranges [first, last) of `extent` items in steps of `length`: work(piece, first, last).
template <class Work>
void for_each_range(ThreadPool& pool, std::size_t extent, std::size_t length, const Work& work) {
  pool.for_each((extent + length - 1) / length, [&](std::size_t piece) {
    work(piece, piece * length, std::min(extent, (piece + 1) * length));
  });
}

/// Pieces into which a dense product with so many multiply-adds is cut: two as soon as that pays, soon some more, so
/// that nobody waits long for the last, but large products into large pieces, because each packs the operand anew that
/// all share. Measured with oneDNN 2.6.3.
inline std::size_t product_pieces(std::size_t multiply_adds) {
  constexpr std::size_t worth_two = 2'000'000, small = 10'000'000, large = 30'000'000, few = 8, most = 32;
  if (multiply_adds < worth_two) return 1;
  return std::clamp<std::size_t>(std::max(std::min(multiply_adds / small, few), multiply_adds / large), 2,
                                 most);
}

/// Elements of one piece of an element-wise operation: large enough to pay for starting a thread.
inline constexpr std::size_t elementwise_piece = 16384;

/// Elements of a step in one piece of an operation that goes through `steps` steps of each, in whole lines of
/// the cache.
inline std::size_t elements_per_piece(std::size_t steps) {
  constexpr std::size_t line = 16;
  return std::max(line, elementwise_piece / steps / line * line);
}

/// Samples in one piece of running neurons, for that many steps of neurons a sample: some 10 µs.
inline std::size_t samples_per_piece(std::size_t neuron_steps) {
  return std::max<std::size_t>(1, 2 * elementwise_piece / neuron_steps);
}

}  // namespace orthospike
