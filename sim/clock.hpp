#pragma once

#include "sim/settings.hpp"

namespace orthospike {

/// The time steps of a sample.
struct Clock {
  std::size_t steps = 20;
  float dt = 0.05F;  ///< ms

  void describe(SettingsVisitor& visit) {
    visit("neuron.steps", steps, {.lowest = 1, .highest = 100000}, "steps", "Time steps T of one sample.");
    visit("neuron.dt", dt, positive, "ms", "Length of a step.");
  }
};

}  // namespace orthospike
