#include "datasets/task.hpp"

namespace orthospike {

std::vector<std::uint8_t> Task::targets(std::span<const std::uint8_t> labels,
                                        std::span<const std::uint32_t> samples) const {
  std::vector<std::uint8_t> targets;
  targets.reserve(samples.size());
  for (const std::uint32_t sample : samples) targets.push_back(logits[labels[sample]].value());
  return targets;
}

}  // namespace orthospike
