#pragma once

// The only place that starts kernels, and with thrust_policy.cuh the only one that knows whether the device is
// a real one: without a GPU the same sources run on tests/emulation.

#include <source_location>

#include "kernels/array.hpp"
#include "kernels/cuda/runtime.hpp"

#ifdef ORTHOSPIKE_EMULATED_DEVICE
#include "tests/emulation/launch.hpp"
#endif

namespace orthospike {

/// A stream and the place in the source that used it, for error messages.
struct LaunchStream {
  LaunchStream(const Stream& from, std::source_location place = std::source_location::current())
      : stream(from.get()), where(place) {}

  cudaStream_t stream;
  std::source_location where;
};

/// What a kernel gets of a launch's argument: of a view, the address.
template <class T>
const T& kernel_argument(const T& argument) {
  return argument;
}
template <class T>
T* kernel_argument(const View<T>& view) {
  return view.address();
}
template <class T>
T* kernel_argument(const MatrixView<T>& matrix) {
  return matrix.address();
}

/// Queues the kernel. Errors it meets while running show in the next call that waits.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
            const LaunchStream& on, const Arguments&... arguments) {
#ifdef ORTHOSPIKE_EMULATED_DEVICE
  emulated_launch(kernel, grid, block, shared_bytes, on.stream, Parameters(kernel_argument(arguments))...);
#else
  kernel<<<grid, block, shared_bytes, on.stream>>>(kernel_argument(arguments)...);
#endif
  check(cudaGetLastError(), "the launch of a kernel", on.where);
}

/// Blocks of that many threads that give every item a thread; at least one.
inline unsigned blocks_for(std::size_t items, unsigned threads) {
  return items == 0 ? 1U : static_cast<unsigned>((items + threads - 1) / threads);
}

}  // namespace orthospike
