#pragma once

#include <algorithm>
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

/// As for_each_piece over ranges [first, last) of `extent` items in steps of `length`: work(piece, first,
/// last).
template <class Work>
void for_each_range(std::size_t extent, std::size_t length, int threads, const Work& work) {
  for_each_piece((extent + length - 1) / length, threads, [&](std::size_t piece) {
    work(piece, piece * length, std::min(extent, (piece + 1) * length));
  });
}

/// Elements of one piece of an element-wise operation: large enough to pay for starting a thread.
inline constexpr std::size_t elementwise_piece = 16384;

}  // namespace orthospike
