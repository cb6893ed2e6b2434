#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/random_key.hpp"
#include "sim/settings.hpp"

namespace orthospike {

/// Which samples a replay memory keeps of those that a task shows.
enum class ReplaySelection { reservoir, first };

struct ReplaySettings {
  std::size_t samples_per_class = 50;
  ReplaySelection selection = ReplaySelection::reservoir;
  std::size_t epochs = 1;
  std::size_t batch_size = 50;
  float learning_rate = 0.01F;

  void describe(SettingsVisitor& visit);
};

/// Numbers of the samples to store of one task, class by class: of each class `per_class` of the samples
/// labels [samples] has of it, or all when there are fewer. `reservoir` chooses uniformly, in one pass (Vitter
/// 1985, algorithm R, one reservoir a class); `first` takes those that come first.
std::vector<std::uint32_t> choose_for_replay(std::span<const std::uint8_t> labels, std::size_t per_class,
                                             ReplaySelection selection, const RandomKey& key);

}  // namespace orthospike
