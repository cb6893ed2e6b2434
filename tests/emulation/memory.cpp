#include "tests/emulation/memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tests/emulation/sanitizer.hpp"
#include "tests/emulation/scheduler.hpp"

namespace orthospike::emulation {

namespace {

/// What cudaMalloc promises.
constexpr std::size_t alignment = 256;

/// Before and after each block.
constexpr std::size_t guard_bytes = has_address_sanitizer ? 0 : 512;
static_assert(guard_bytes % alignment == 0);
constexpr int guard_content = 0xa5;

/// Four or eight of it are a NaN.
constexpr int garbage = 0xff;

bool guard_is_whole(const std::byte* begin) {
  static const std::vector<std::byte> whole(guard_bytes, std::byte{guard_content});
  return std::memcmp(begin, whole.data(), guard_bytes) == 0;
}

int open_scopes = 0;
bool is_closed_outside = false;

}  // namespace

std::size_t Heap::total() {
  constexpr std::size_t by_default = std::size_t{4} << 30;
  const char* const text = std::getenv("ORTHOSPIKE_EMULATED_MEMORY");
  return text == nullptr ? by_default : std::strtoull(text, nullptr, 10);
}

void* Heap::allocate(std::size_t bytes) {
  if (bytes > total() - std::min(used_, total())) return nullptr;
  void* begin = nullptr;
  if (posix_memalign(&begin, alignment, bytes + 2 * guard_bytes) != 0) return nullptr;
  std::memset(begin, guard_content, bytes + 2 * guard_bytes);
  void* const block = static_cast<char*>(begin) + guard_bytes;
  std::memset(block, garbage, bytes);
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  const auto [placed, is_new] = blocks_.emplace(address, Block{bytes, ++allocations_});
  used_ += bytes;
  open_block(address, placed->second, open_);
  return block;
}

bool Heap::free(void* block) {
  const auto found = blocks_.find(reinterpret_cast<std::uintptr_t>(block));
  if (found == blocks_.end()) return false;
  check_guards();
  open_block(found->first, found->second, true);
  std::memset(block, garbage, found->second.bytes);
  used_ -= found->second.bytes;
  blocks_.erase(found);
  std::free(static_cast<char*>(block) - guard_bytes);
  return true;
}

bool Heap::contains(const volatile void* address, std::size_t bytes) const {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  auto after = blocks_.upper_bound(at);
  if (after == blocks_.begin()) return false;
  const auto& [begin, block] = *--after;
  const std::uintptr_t offset = at - begin;
  return offset <= block.bytes && bytes <= block.bytes - offset;
}

void Heap::check_guards() const {
  if (guard_bytes == 0) return;
  for (const auto& [address, block] : blocks_) {
    const auto* const begin = reinterpret_cast<const std::byte*>(address);
    for (const bool after : {false, true}) {
      if (guard_is_whole(after ? begin + block.bytes : begin - guard_bytes)) continue;
      fail(fmt::format("wrote {} block {} of device memory ({} bytes)", after ? "behind" : "before",
                       block.number, block.bytes));
    }
  }
}

Heap::Snapshot Heap::snapshot() const {
  Snapshot contents;
  for (const auto& [address, block] : blocks_) {
    const auto* const begin = reinterpret_cast<const std::byte*>(address);
    contents.emplace_back(begin, begin + block.bytes);
  }
  return contents;
}

void Heap::restore(const Snapshot& snapshot) {
  auto content = snapshot.begin();
  for (const auto& [address, block] : blocks_) {
    std::copy(content->begin(), content->end(), reinterpret_cast<std::byte*>(address));
    ++content;
  }
}

std::string Heap::difference(const Snapshot& snapshot) const {
  auto content = snapshot.begin();
  for (const auto& [address, block] : blocks_) {
    const auto* const begin = reinterpret_cast<const std::byte*>(address);
    const auto differs = std::mismatch(content->begin(), content->end(), begin);
    if (differs.first != content->end()) {
      return fmt::format("byte {} of block {} of device memory ({} bytes)", differs.first - content->begin(),
                         block.number, block.bytes);
    }
    ++content;
  }
  return {};
}

void Heap::set_open(bool open) {
  if (open == open_) return;
  open_ = open;
  if constexpr (has_address_sanitizer) {
    for (const auto& [address, block] : blocks_) open_block(address, block, open);
  }
}

void Heap::open_block([[maybe_unused]] std::uintptr_t address, [[maybe_unused]] const Block& block,
                      [[maybe_unused]] bool open) const {
#ifdef ORTHOSPIKE_ADDRESS_SANITIZER
  const auto* const begin = reinterpret_cast<const void*>(address);
  if (open) {
    __asan_unpoison_memory_region(begin, block.bytes);
  } else {
    __asan_poison_memory_region(begin, block.bytes);
  }
#endif
}

Heap& heap() {
  // Never destroyed: arrays of static lifetime may give blocks back after any other static is gone.
  static Heap& the_heap = *new Heap;
  return the_heap;
}

bool close_device_memory() {
  is_closed_outside = true;
  heap().set_open(open_scopes > 0);
  return true;
}

DeviceScope::DeviceScope() {
  ++open_scopes;
  heap().set_open(true);
}

DeviceScope::~DeviceScope() {
  --open_scopes;
  if (open_scopes > 0) return;
  heap().check_guards();
  heap().set_open(!is_closed_outside);
}

}  // namespace orthospike::emulation
