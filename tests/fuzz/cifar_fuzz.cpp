// libFuzzer target of read_cifar_records; the first byte says how many labels a record has. From the repository root:
//   cmake --preset fuzz && cmake --build --preset fuzz
//   build-fuzz/tests/cifar_fuzz -max_total_time=60 -malloc_limit_mb=16 NEW_CORPUS_FOLDER tests/fuzz/cifar_corpus

#include <cstddef>
#include <cstdint>
#include <string>

#include "datasets/cifar.hpp"
#include "kernels/error.hpp"
#include "tests/fuzz/memory_file.hpp"

using orthospike::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const orthospike::MemoryFile file;
  if (size == 0) return 0;
  file.write(bytes + 1, size - 1);
  try {
    const std::size_t wanted = 1 + bytes[0] % 2U;
    const orthospike::CifarRecords records = orthospike::read_cifar_records(file.path(), wanted);
    require(records.count > 0 && records.label_bytes == wanted);
    require(records.labels.size() == records.count * records.label_bytes);
    require(records.pixels.size() == records.count * 32 * 32 * 3);
  } catch (const orthospike::EnvironmentError& error) {
    require(std::string(error.what()).starts_with(file.path()));
  }
  return 0;
}
