#include "sim/clock.hpp"

#include <fmt/format.h>

#include "kernels/error.hpp"

namespace orthospike {

float Clock::decay(const char* key, float tau) const {
  if (tau == 0.0F) return 0.0F;
  if (dt > tau) throw ConfigError(fmt::format("{}: {} is shorter than neuron.dt, {}", key, tau, dt));
  return 1.0F - dt / tau;
}

}  // namespace orthospike
