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

  /// What a step leaves of what decays: 1 - dt/tau; 0, nothing, where tau is 0. Throws ConfigError, with the key of
  /// tau, when dt is longer.
  float decay(const char* key, float tau) const;
  /// A duration, in ms, in steps. Throws ConfigError, with its key, where these are not whole
  /// or more than 2⁵³.
  std::size_t whole_steps(const char* key, double duration) const;
};

}  // namespace orthospike
