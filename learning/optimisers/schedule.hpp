#pragma once

#include <cstddef>

#include "sim/settings.hpp"

namespace orthospike {

struct ScheduleSettings {
  enum class Form { constant, step, cosine };

  float learning_rate = 0.1F;
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

/// The factor on the learning rate over the updates u = 0 … U - 1 of a task, the same in each task. In the
/// warm-up of W updates, (u + 1) / W times
///   constant: 1;  step: step_factor^⌊u / updates of step_epochs⌋;  cosine: (1 + cos(π · u / U)) / 2.
class Schedule {
 public:
  explicit Schedule(const ScheduleSettings& settings) : settings_(settings) {}

  double factor(std::size_t update, const TaskLength& task) const;
  float learning_rate(std::size_t update, const TaskLength& task) const {
    return settings_.learning_rate * static_cast<float>(factor(update, task));
  }

 private:
  ScheduleSettings settings_;
};

}  // namespace orthospike
