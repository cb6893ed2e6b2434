#include "tests/emulation/launch.hpp"

#include <fmt/format.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "tests/emulation/memory.hpp"
#include "tests/emulation/stream.hpp"
#include "tests/emulation/symbols.hpp"

namespace orthospike::emulation {

namespace {

/// What a kernel may have without asking for more.
constexpr std::size_t most_shared_bytes = 48 * 1024;

bool driver_accepts(const Launch& launch) {
  constexpr unsigned most_blocks_x = 0x7fffffffU;
  constexpr unsigned most_blocks_yz = 0xffffU;
  const dim3& grid = launch.grid;
  const dim3& block = launch.block;
  return grid.x > 0 && grid.y > 0 && grid.z > 0 && grid.x <= most_blocks_x && grid.y <= most_blocks_yz &&
         grid.z <= most_blocks_yz && block.x > 0 && block.y > 0 && block.z > 0 &&
         block.x <= most_threads_per_block && block.y <= most_threads_per_block && block.z <= 64 &&
         std::size_t{block.x} * block.y * block.z <= most_threads_per_block &&
         launch.shared_bytes <= most_shared_bytes;
}

std::uint64_t seed() {
  const char* const text = std::getenv("ORTHOSPIKE_EMULATION_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

bool checks_races() {
  const char* const text = std::getenv("ORTHOSPIKE_EMULATION_CHECK_RACES");
  return text != nullptr && std::string(text) != "0";
}

/// Both are NaN in each float and each double.
constexpr Chance chances(std::uint64_t seed, unsigned launch, bool second) {
  return {.shuffle = (seed << 33) + (std::uint64_t{launch} << 1) + (second ? 1 : 0),
          .garbage = second ? 0xfffc1234U : 0xffffffffU};
}

/// The same twice from the same memory, in different orders: what differs then depends on the order, or on
/// shared memory that nothing was written to.
void run_twice(const Launch& launch) {
  const Heap::Snapshot before = heap().snapshot();
  run(launch, chances(seed(), launch.number, false));
  const Heap::Snapshot after = heap().snapshot();
  heap().restore(before);
  run(launch, chances(seed(), launch.number, true));
  const std::string difference = heap().difference(after);
  if (difference.empty()) return;
  fail(fmt::format(
      "data race: kernel {} (launch {}) gives another result in another order of threads and with other "
      "garbage in shared memory, at {}",
      function_name(launch.kernel), launch.number, difference));
}

void execute(const Launch& launch) {
  static std::atomic<bool> busy = false;
  if (busy.exchange(true)) fail("a second host thread launches a kernel while one runs");
  {
    const DeviceScope scope;
    if (checks_races()) {
      run_twice(launch);
    } else {
      run(launch, chances(seed(), launch.number, false));
    }
  }
  busy = false;
}

}  // namespace

void check_argument(const Launch& launch, int number, const volatile void* address) {
  if (address == nullptr || heap().contains(address, 0)) return;
  fail(fmt::format("argument {} of kernel {} points at no device memory", number,
                   function_name(launch.kernel)));
}

void queue(Launch launch, cudaStream_t stream) {
  if (!driver_accepts(launch)) {
    returned(cudaErrorInvalidConfiguration);
    return;
  }
  enqueue(stream, [launch = std::move(launch)]() mutable {
    static unsigned launches = 0;
    launch.number = ++launches;
    execute(launch);
  });
}

}  // namespace orthospike::emulation
