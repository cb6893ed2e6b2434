#pragma once

#include <vector_types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>
#include <string>

namespace orthospike::emulation {

inline constexpr unsigned lanes_per_warp = 32;
inline constexpr unsigned most_threads_per_block = 1024;

/// A launch without the types of the kernel's arguments.
struct Launch {
  const void* kernel = nullptr;  ///< its address, by which its name is found
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes = 0;
  std::function<void()> thread;  ///< what each thread does
  unsigned number = 0;           ///< of the launch in this process, from 1
};

/// What a run of a launch may depend on, and a right kernel's result does not.
struct Chance {
  std::uint64_t shuffle = 0;  ///< decides the order of blocks and that of threads
  std::uint32_t garbage = 0;  ///< what shared memory is filled with
};

/// Runs all threads of all blocks, one block at a time.
void run(const Launch& launch, const Chance& chance);

/// Prints the sentence, with the kernel and block that run if any do, and aborts.
[[noreturn]] void fail(const std::string& sentence);

// What the running thread asks for. Each call returns when the others it waits for have come.

/// A barrier or exchange as it stands in the kernel.
struct Meeting {
  const char* operation = "";
  std::source_location where;
};

/// Waits for the block; returns the sum of its threads' values.
unsigned meet_block(const Meeting& meeting, unsigned value);

/// Waits for the lanes of the mask; returns a bit for each whose predicate holds.
unsigned vote(const Meeting& meeting, unsigned mask, bool predicate);

enum class Shuffle { index, up, down, exclusive_or };

/// Waits for the lanes of the mask; returns the value of the one that CUDA's rules name.
std::uint64_t shuffle(const Meeting& meeting, unsigned mask, std::uint64_t value, Shuffle kind,
                      unsigned operand, int width);

/// The block's dynamic shared memory.
void* shared_memory();

}  // namespace orthospike::emulation
