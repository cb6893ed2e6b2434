#pragma once

#include <cstddef>
#include <string>

namespace orthospike {

struct ScheduleSettings {
  std::string name = "constant";  ///< constant, step or cosine
  float step_factor = 1;
  std::size_t step_epochs = 1;
  float warm_up_epochs = 0;  ///< may be a fraction
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
  /// Throws ConfigError for an unknown name.
  explicit Schedule(const ScheduleSettings& settings);

  double factor(std::size_t update, const TaskLength& task) const;

 private:
  ScheduleSettings settings_;
};

}  // namespace orthospike
