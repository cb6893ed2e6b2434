#include "kernels/host_backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

/// One cache line and one widest vector: no row of a matrix whose columns fill whole vectors straddles a
/// line.
constexpr std::size_t alignment = 64;

}  // namespace

Memory HostBackend::allocate_bytes(std::size_t bytes) {
  const std::size_t rounded = std::max<std::size_t>(1, (bytes + alignment - 1) / alignment) * alignment;
  // Large blocks that calloc gives take memory page by page, when these are first written to: of event lists, which have
  // room for a spike of each neuron, that is a small part.
  constexpr std::size_t large = 1U << 20U;
  void* const block =
      rounded < large ? std::aligned_alloc(alignment, rounded) : std::calloc(1, rounded + alignment);
  if (block == nullptr)
    throw EnvironmentError(fmt::format("not enough memory for an array of {} bytes", bytes));
  void* aligned = block;
  std::size_t room = rounded + alignment;
  std::align(alignment, rounded, aligned, room);
  if (rounded < large) std::memset(block, 0, rounded);
  return {aligned, [block](void*) { std::free(block); }};
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
