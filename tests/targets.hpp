#pragma once

#include <cstdint>
#include <vector>

#include "kernels/target.hpp"

namespace orthospike::testing {

/// Labels that are sought among all of so many logits.
template <class Label>
std::vector<Target> among_all(const std::vector<Label>& labels, std::size_t logits) {
  std::vector<Target> targets;
  for (const Label label : labels)
    targets.push_back({static_cast<std::uint8_t>(label), 0, static_cast<std::uint8_t>(logits - 1)});
  return targets;
}

}  // namespace orthospike::testing
