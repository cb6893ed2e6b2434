#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/random_key.hpp"

namespace orthospike {

/// Which samples a replay memory keeps of those that a task shows.
enum class ReplaySelection { reservoir, first };

/// The selection of that name (key replay.selection). Throws ConfigError.
ReplaySelection replay_selection(const std::string& name);

/// Numbers of the samples to store of one task, class by class: of each class `per_class` of the samples
/// labels [samples] has of it, or all when there are fewer. `reservoir` chooses uniformly, in one pass (Vitter
/// 1985, algorithm R, one reservoir a class); `first` takes those that come first.
std::vector<std::uint32_t> choose_for_replay(std::span<const std::uint8_t> labels, std::size_t per_class,
                                             ReplaySelection selection, const RandomKey& key);

}  // namespace orthospike
