#pragma once

// Starts kernels on the emulated device: what the kernels' launch helper calls in place of nvcc's <<<…>>>.

#include <cuda_runtime.h>

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tests/emulation/scheduler.hpp"

namespace orthospike {

namespace emulation {

/// Checks the launch as the driver would and queues it; a refusal is left for cudaGetLastError.
void queue(Launch launch, cudaStream_t stream);

/// Fails unless the address is null or in the device's memory. `number` counts the kernel's arguments from 1.
void check_argument(const Launch& launch, int number, const volatile void* address);

}  // namespace emulation

/// kernel<<<grid, block, shared_bytes, stream>>>(arguments...)
template <class... Parameters, class... Arguments>
void emulated_launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
                     cudaStream_t stream, const Arguments&... arguments) {
  emulation::Launch launch{.kernel = reinterpret_cast<const void*>(kernel),
                           .grid = grid,
                           .block = block,
                           .shared_bytes = shared_bytes,
                           .thread = {}};
  // Converted once, here; each thread gets copies, as from the device's parameter memory.
  const std::tuple<std::remove_cv_t<Parameters>...> values(arguments...);
  int number = 0;
  const auto check = [&](const auto& value) {
    ++number;
    using T = std::remove_cvref_t<decltype(value)>;
    if constexpr (std::is_pointer_v<T> && !std::is_function_v<std::remove_pointer_t<T>>)
      emulation::check_argument(launch, number, value);
  };
  std::apply([&](const auto&... value) { (check(value), ...); }, values);
  launch.thread = [kernel, values] { std::apply(kernel, values); };
  emulation::queue(std::move(launch), stream);
}

/// The block's dynamic shared memory: exactly the bytes of the launch, filled with garbage.
template <class T>
T* dynamic_shared() {
  return static_cast<T*>(emulation::shared_memory());
}

}  // namespace orthospike
