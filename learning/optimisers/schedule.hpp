#pragma once

#include <cstddef>
#include <vector>

#include "datasets/task_sequence.hpp"
#include "sim/settings.hpp"

namespace orthospike {

struct ScheduleSettings {
  enum class Form { constant, step, cosine };

  std::vector<float> learning_rates = {0.1F};  ///< one a task; the last is that of all later ones
  Form form = Form::constant;
  float step_factor = 0.1F;
  std::size_t step_epochs = 1;
  float warm_up_epochs = 0.0F;  ///< may be a fraction

  void describe(SettingsVisitor& visit);
};

/// How many updates of the weights a task takes: epochs · updates_per_epoch.
struct TaskLength {
  std::size_t epochs = 1;
  std::size_t updates_per_epoch = 1;
};

/// The learning rate of a task, and the factor on it over the updates u = 0 … U - 1 of a task, the same in each. In the
/// warm-up of W updates, (u + 1) / W times
///   constant: 1;  step: step_factor^⌊u / updates of step_epochs⌋;  cosine: (1 + cos(π · u / U)) / 2.
class Schedule {
 public:
  explicit Schedule(const ScheduleSettings& settings) : settings_(settings) {}

  double factor(std::size_t update, const TaskLength& length) const;
  /// task counts from 0.
  float learning_rate(std::size_t task, std::size_t update, const TaskLength& length) const {
    return of_task(settings_.learning_rates, task) * static_cast<float>(factor(update, length));
  }

 private:
  ScheduleSettings settings_;
};

}  // namespace orthospike
