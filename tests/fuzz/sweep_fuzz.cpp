// libFuzzer target of parse_sweep. From the repository root:
//   cmake --preset fuzz && cmake --build --preset fuzz
//   build-fuzz/tests/sweep_fuzz -max_total_time=60 -malloc_limit_mb=16 NEW_CORPUS_FOLDER tests/fuzz/sweep_corpus

#include <cstddef>
#include <cstdint>
#include <set>
#include <sstream>
#include <string>

#include "kernels/error.hpp"
#include "learning/sweep.hpp"
#include "tests/fuzz/memory_file.hpp"

using orthospike::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  std::istringstream stream(std::string(reinterpret_cast<const char*>(bytes), size));
  try {
    const orthospike::Sweep sweep = orthospike::parse_sweep(stream, "s.ini");
    require(!sweep.keys.empty() && sweep.keys.size() == sweep.places.size());
    require(!sweep.points.empty() && sweep.points.size() <= orthospike::Sweep::most_points);
    require(sweep.points.size() % sweep.points_per_setting() == 0);
    std::set<std::string> names;
    for (const orthospike::SweepPoint& point : sweep.points) {
      require(point.values.size() == sweep.keys.size());
      require(point.name.size() < 255 && point.name.find('/') == std::string::npos && point.name[0] != '.');
      names.insert(point.name);
    }
    require(names.size() == sweep.points.size());
  } catch (const orthospike::ConfigError& error) {
    require(std::string(error.what()).starts_with("s.ini"));
  }
  return 0;
}
