// libFuzzer target of read_idx. From the repository root:
//   clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz/idx_fuzz.cpp
//       datasets/idx.cpp -lz -lfmt -o idx_fuzz
//   ./idx_fuzz -max_total_time=60 -malloc_limit_mb=16 NEW_CORPUS_FOLDER tests/fuzz/idx_corpus

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "datasets/idx.hpp"
#include "kernels/error.hpp"

namespace {

/// A file in memory with a path, for a reader that takes paths.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("idx_fuzz", MFD_CLOEXEC)) {
    if (descriptor_ < 0) std::abort();
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { close(descriptor_); }

  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

  void write(const std::uint8_t* bytes, std::size_t size) const {
    if (ftruncate(descriptor_, 0) != 0) std::abort();
    if (pwrite(descriptor_, bytes, size, 0) != static_cast<ssize_t>(size)) std::abort();
  }

 private:
  int descriptor_;
};

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const MemoryFile file;
  file.write(bytes, size);
  try {
    const orthospike::IdxArray array = orthospike::read_idx(file.path());
    require(!array.shape.empty() && array.shape.size() <= 4);
    std::size_t count = 1;
    for (const std::size_t length : array.shape) count *= length;
    require(count > 0 && count == array.values.size());
  } catch (const orthospike::EnvironmentError& error) {
    require(std::string(error.what()).starts_with(file.path()));
  }
  return 0;
}
