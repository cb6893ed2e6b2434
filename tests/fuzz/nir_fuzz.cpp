// libFuzzer target of read_nir and from_nir. From the repository root:
//   cmake --preset fuzz && cmake --build --preset fuzz
//   build-fuzz/tests/nir_fuzz -max_total_time=60 -malloc_limit_mb=128 -detect_leaks=0 NEW_CORPUS_FOLDER tests/fuzz/nir_corpus
// (The HDF5 library leaks where a file is damaged; where it crashes, a copy of the process does, which read_nir survives.)

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/error.hpp"
#include "learning/nir/nir.hpp"
#include "tests/fuzz/memory_file.hpp"

using orthospike::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const orthospike::MemoryFile file;
  file.write(bytes, size);
  try {
    const orthospike::TrainedNetwork network =
        orthospike::from_nir(orthospike::read_nir(file.path()), {}).network;
    require(network.populations.size() > 2 && network.populations.front().size == network.shape.size());
    for (const orthospike::TrainedNetwork::Weights& projection : network.projections) {
      require(projection.source < network.populations.size() && !projection.values.empty());
      require(projection.values.size() == projection.presynaptic * projection.outputs());
      require(network.populations.at(projection.target).size % projection.outputs() == 0);
    }
  } catch (const orthospike::EnvironmentError& error) {
    require(std::string(error.what()).starts_with(file.path()));
  }
  return 0;
}
