#include "sim/clock.hpp"

#include <fmt/format.h>

#include <cmath>

#include "kernels/error.hpp"

namespace orthospike {

float Clock::decay(const char* key, float tau) const {
  if (tau == 0.0F) return 0.0F;
  if (dt > tau) throw ConfigError(fmt::format("{}: {} is shorter than neuron.dt, {}", key, tau, dt));
  return 1.0F - dt / tau;
}

std::size_t Clock::whole_steps(const char* key, double duration) const {
  const double steps = std::round(duration / dt);
  constexpr double most = 0x1p53;
  if (!(steps < most))
    throw ConfigError(fmt::format("{}: {:g} has more than 2⁵³ steps of {:g}", key, duration, dt));
  // Lengths of steps are of single precision.
  if (std::abs(duration - steps * dt) > 1e-6 * duration)
    throw ConfigError(fmt::format("{}: {:g} is no multiple of the step, {:g}", key, duration, dt));
  return static_cast<std::size_t>(steps);
}

}  // namespace orthospike
