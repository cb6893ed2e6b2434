#pragma once

#include <cstdint>

#include "kernels/array.hpp"
#include "kernels/cuda/runtime.hpp"

namespace orthospike {

/// Most blocks of a kernel that adds over its whole grid.
inline constexpr unsigned most_partial_sums = 1024;

/// What operations of the CUDA back end work with. Members are destroyed from the last to the first: arrays give
/// their blocks back before the memory goes.
class CudaContext {
 public:
  CudaContext();

  Memory allocate(std::size_t bytes);  ///< filled with zeros
  void copy(const void* from, void* to, std::size_t bytes);
  void clear(void* to, std::size_t bytes);
  /// Memory for intermediate results of one operation, kept from call to call.
  Matrix scratch(std::size_t rows, std::size_t cols);
  /// How often scratch got other memory, which graphs of before still refer to.
  unsigned scratch_moves() const { return scratch_moves_; }
  /// [most_partial_sums] one a block, of sums over the whole grid
  View<double> partial_sums() { return partial_sums_.view(); }
  /// [1] blocks that have left their partial sum; 0 between operations
  View<std::uint32_t> finished() { return finished_.view(); }

  int multiprocessors = 0;  ///< of the device
  Stream stream;
  BlasHandle blas{stream};

 private:
  template <class T>
  Array<T> allocate_array(std::size_t size) {
    return {allocate(size * sizeof(T)), size};
  }

  DeviceMemory memory_;
  Array<float> scratch_;
  unsigned scratch_moves_ = 0;
  Array<double> partial_sums_;
  Array<std::uint32_t> finished_;
};

// What operations of other families use.
struct ExpandSpikes;
struct Multiply;
void execute(CudaContext& cuda, const ExpandSpikes& op);
void execute(CudaContext& cuda, const Multiply& op);

}  // namespace orthospike
