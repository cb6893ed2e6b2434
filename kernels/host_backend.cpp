#include "kernels/host_backend.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

/// One cache line and one widest vector: no row of a matrix whose columns fill whole vectors straddles a
/// line.
constexpr std::size_t alignment = 64;

}  // namespace

Memory HostBackend::allocate_bytes(std::size_t bytes) {
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  Memory memory(std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded), std::free);
  if (memory == nullptr)
    throw EnvironmentError(fmt::format("not enough memory for an array of {} bytes", bytes));
  std::memset(memory.get(), 0, rounded);
  return memory;
}

void HostBackend::do_upload(const void* from, void* to, std::size_t bytes) {
  do_copy(from, to, bytes);
}

void HostBackend::do_download(const void* from, void* to, std::size_t bytes) {
  do_copy(from, to, bytes);
}

void HostBackend::do_copy(const void* from, void* to, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

void HostBackend::do_clear(void* to, std::size_t bytes) {
  if (bytes > 0) std::memset(to, 0, bytes);
}

}  // namespace orthospike
