#pragma once

#include <algorithm>

#include "kernels/backend.hpp"

namespace orthospike {

/// Memory of a connection for what it works out of some rows at a time: of so many that it fits the processors' caches,
/// and that its size is known before the first.
class ChunkRoom {
 public:
  /// columns: of what each row becomes.
  explicit ChunkRoom(std::size_t columns)
      : columns_(columns), most_(std::max<std::size_t>(1, values / std::max<std::size_t>(1, columns))) {}

  std::size_t most_rows() const { return most_; }
  /// [rows × columns], of at most most_rows().
  Matrix matrix(Backend& backend, std::size_t rows) const {
    if (room_.size() == 0) room_ = backend.allocate<float>(most_ * columns_);
    return room_.matrix(rows, columns_);
  }

 private:
  static constexpr std::size_t values = 1U << 20U;

  std::size_t columns_, most_;
  mutable Array<float> room_;  ///< made when it is first needed
};

/// Calls work(first, count) for so many rows, at most some at once.
template <class Work>
void for_each_chunk(std::size_t rows, std::size_t most, const Work& work) {
  for (std::size_t first = 0; first < rows; first += most) work(first, std::min(most, rows - first));
}

}  // namespace orthospike
