#pragma once

#include "kernels/family.hpp"
#include "kernels/random_key.hpp"

namespace orthospike {

/// values ← uniform in [low, high). Element i is word i % 4 of block i / 4 (random.hpp).
struct FillUniform {
  View<float> values;
  float low;
  float high;
  RandomKey key;

  void check() const {}
};

/// values ← standard normal. Element i is of words (0, 1) or (2, 3) of block i / 2.
struct FillNormal {
  View<float> values;
  RandomKey key;

  void check() const {}
};

struct RandomNumbers : Family<FillUniform, FillNormal> {
  using Family::Family;
};

}  // namespace orthospike
