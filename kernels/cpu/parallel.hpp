#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>

namespace orthospike {

/// Calls work(piece) for piece = 0 … pieces - 1 on up to `threads` threads, neighbouring pieces on the same
/// thread. What a piece computes must not depend on the others.
template <class Work>
void for_each_piece(std::size_t pieces, int threads, const Work& work) {
  const int used = static_cast<int>(std::min<std::size_t>(pieces, static_cast<std::size_t>(threads)));
#pragma omp parallel for num_threads(used) schedule(static) if (used > 1)
  for (std::size_t piece = 0; piece < pieces; ++piece) work(piece);
}

/// As for_each_piece for pieces that differ in work: each thread takes the next when it has done one.
template <class Work>
void for_each_uneven_piece(std::size_t pieces, int threads, const Work& work) {
  const int used = static_cast<int>(std::min<std::size_t>(pieces, static_cast<std::size_t>(threads)));
#pragma omp parallel for num_threads(used) schedule(dynamic) if (used > 1)
  for (std::size_t piece = 0; piece < pieces; ++piece) work(piece);
}

/// As for_each_piece over ranges [first, last) of `extent` items in steps of `length`: work(piece, first,
/// last).
template <class Work>
void for_each_range(std::size_t extent, std::size_t length, int threads, const Work& work) {
  for_each_piece((extent + length - 1) / length, threads, [&](std::size_t piece) {
    work(piece, piece * length, std::min(extent, (piece + 1) * length));
  });
}

/// Length of the strips into which a dense product with that many multiply-adds is cut along a side of
/// `length`. Measured with OpenBLAS 0.3.21: up to a million multiply-adds it multiplies without packing,
/// which is fastest for thin matrices; above, few strips are better, because each packs the shared operand
/// again.
inline std::size_t strip_length(std::size_t length, std::size_t multiply_adds) {
  constexpr std::size_t without_packing = 900'000;
  constexpr std::size_t most_without_packing = 16;
  const std::size_t small_strips = std::bit_ceil((multiply_adds + without_packing - 1) / without_packing);
  const std::size_t strips =
      small_strips <= most_without_packing ? small_strips : std::max<std::size_t>(8, length / 128);
  return (length + strips - 1) / strips;
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
