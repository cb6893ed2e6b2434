#pragma once

#include <cstdint>

namespace orthospike {

/// The answer that is sought for a sample: logit `label` among the logits first … last of the read-out.
struct Target {
  std::uint8_t label = 0;
  std::uint8_t first = 0;
  std::uint8_t last = 0;
};

}  // namespace orthospike
