#include "learning/replay.hpp"

#include <fmt/format.h>

#include <array>
#include <limits>

#include "kernels/error.hpp"
#include "kernels/random.hpp"

namespace orthospike {

ReplaySelection replay_selection(const std::string& name) {
  if (name == "reservoir") return ReplaySelection::reservoir;
  if (name == "first") return ReplaySelection::first;
  throw ConfigError(fmt::format("replay.selection: '{}' is not one of reservoir, first", name));
}

std::vector<std::uint32_t> choose_for_replay(std::span<const std::uint8_t> labels, std::size_t per_class,
                                             ReplaySelection selection, const RandomKey& key) {
  struct Reservoir {
    std::vector<std::uint32_t> samples;
    std::uint32_t seen = 0;
  };
  std::array<Reservoir, std::numeric_limits<std::uint8_t>::max() + 1> reservoirs;
  for (std::uint32_t i = 0; i < labels.size(); ++i) {
    Reservoir& reservoir = reservoirs[labels[i]];
    ++reservoir.seen;
    if (reservoir.samples.size() < per_class) {
      reservoir.samples.push_back(i);
    } else if (selection == ReplaySelection::reservoir) {
      const std::uint32_t slot = bounded(random_block(key, i / 4).v[i % 4], reservoir.seen);
      if (slot < per_class) reservoir.samples[slot] = i;
    }
  }
  std::vector<std::uint32_t> chosen;
  for (const Reservoir& reservoir : reservoirs)
    chosen.insert(chosen.end(), reservoir.samples.begin(), reservoir.samples.end());
  return chosen;
}

}  // namespace orthospike
