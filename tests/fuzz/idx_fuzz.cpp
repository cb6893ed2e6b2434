// libFuzzer target of read_idx. From the repository root:
//   cmake --preset fuzz && cmake --build --preset fuzz
//   build-fuzz/tests/idx_fuzz -max_total_time=60 -malloc_limit_mb=16 NEW_CORPUS_FOLDER tests/fuzz/idx_corpus

#include <cstddef>
#include <cstdint>
#include <string>

#include "datasets/idx.hpp"
#include "kernels/error.hpp"
#include "tests/fuzz/memory_file.hpp"

using orthospike::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const orthospike::MemoryFile file;
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
