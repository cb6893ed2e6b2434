#include "learning/optimisers/schedule.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "kernels/error.hpp"

namespace orthospike {

Schedule::Schedule(const ScheduleSettings& settings) : settings_(settings) {
  if (settings.name != "constant" && settings.name != "step" && settings.name != "cosine") {
    throw ConfigError(
        fmt::format("optimiser.schedule: '{}' is not one of constant, step, cosine", settings.name));
  }
}

double Schedule::factor(std::size_t update, const TaskLength& task) const {
  const auto u = static_cast<double>(update);
  const auto per_epoch = static_cast<double>(task.updates_per_epoch);
  const double warm_up = settings_.warm_up_epochs * per_epoch;
  const double warmth = u + 1 < warm_up ? (u + 1) / warm_up : 1.0;
  if (settings_.name == "step") {
    const std::size_t epoch = update / task.updates_per_epoch;
    return warmth * std::pow(settings_.step_factor, epoch / settings_.step_epochs);
  }
  if (settings_.name == "cosine")
    return warmth * (1 + std::cos(std::numbers::pi * u / (static_cast<double>(task.epochs) * per_epoch))) / 2;
  return warmth;
}

}  // namespace orthospike
