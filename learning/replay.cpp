#include "learning/replay.hpp"

#include <array>
#include <limits>

#include "kernels/random.hpp"

namespace orthospike {

void ReplaySettings::describe(SettingsVisitor& visit) {
  visit("replay.samples_per_class", samples_per_class, at_least(1), "samples",
        "Training samples of each class that are stored of each task; all when a class has fewer.");
  visit("replay.selection", selection,
        {{"reservoir", ReplaySelection::reservoir, "at random"},
         {"first", ReplaySelection::first, "those that come first in the data set"}},
        "Which samples are stored");
  visit("replay.epochs", epochs, at_least(1), "epochs",
        "Passes over the stored samples after each task from the second on.");
  visit("replay.batch_size", batch_size, {.lowest = 1, .highest = 65536}, "samples",
        "Stored samples of each task in one update of a replay.");
  visit("replay.learning_rate", learning_rate, not_negative, "-",
        "Learning rate of weights in a replay, for the gradients of all tasks summed.");
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
