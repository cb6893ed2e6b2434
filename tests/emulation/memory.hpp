#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace orthospike::emulation {

/// The emulated device's memory: each block an allocation of its own, filled with what reads as NaN.
///
/// With the address sanitizer blocks end where they end; without, guards before and after each are looked at
/// after each operation.
class Heap {
 public:
  /// Null when there is not enough.
  void* allocate(std::size_t bytes);
  /// False for anything but the begin of a block.
  bool free(void* block);

  /// Whether these bytes are in one block. The end of a block is in it, for runs of no elements.
  bool contains(const volatile void* address, std::size_t bytes) const;

  std::size_t used() const { return used_; }
  static std::size_t total();

  /// Fails when something wrote outside the blocks.
  void check_guards() const;

  /// The content of all blocks.
  using Snapshot = std::vector<std::vector<std::byte>>;
  Snapshot snapshot() const;
  void restore(const Snapshot& snapshot);
  /// Where the content differs from the snapshot, in words; empty where it does not.
  std::string difference(const Snapshot& snapshot) const;

  /// What the host may do with the blocks. Seen by the address sanitizer only.
  void set_open(bool open);

 private:
  struct Block {
    std::size_t bytes = 0;
    unsigned number = 0;  ///< of the allocation in this process, from 1
  };

  void open_block(std::uintptr_t address, const Block& block, bool open) const;

  std::map<std::uintptr_t, Block> blocks_;
  std::size_t used_ = 0;
  unsigned allocations_ = 0;
  bool open_ = true;
};

Heap& heap();

/// From now on the address sanitizer reports whoever touches device memory outside a DeviceScope. Always true.
bool close_device_memory();

/// While one lives, the work that is done is the device's.
class DeviceScope {
 public:
  DeviceScope();
  DeviceScope(const DeviceScope&) : DeviceScope() {}
  DeviceScope& operator=(const DeviceScope&) = default;
  ~DeviceScope();
};

}  // namespace orthospike::emulation
