#pragma once

#include <vector>

#include "learning/stored_tasks.hpp"
#include "learning/trainer.hpp"

namespace orthospike {

/// How much a task changes the logits of earlier tasks' test samples: what a protection is there to prevent, whatever the
/// answers. Only reads the trainer.
class LogitChange {
 public:
  static constexpr const char* definition =
      "‖z' - z‖ / ‖z‖, z and z': logits of test samples of earlier tasks before and after the task, of each sample less "
      "their mean";

  /// samples: of all earlier tasks together, of each its share and at least one; 0: nothing is measured.
  LogitChange(Trainer& trainer, std::size_t samples) : trainer_(trainer), samples_(samples) {}

  /// Before the first batch of a task; earlier: of the tasks before it.
  void begin_task(const std::vector<StoredTasks::TestSamples>& earlier);
  /// Of the same samples; NaN where there are none.
  double end_task(const std::vector<StoredTasks::TestSamples>& earlier);
  void state(Archive& archive) { archive.resizable("before", before_); }

 private:
  /// Of all samples one after the other, the logits of their task's head.
  std::vector<double> logits(const std::vector<StoredTasks::TestSamples>& earlier);

  Trainer& trainer_;
  std::size_t samples_;
  std::vector<double> before_;
};

}  // namespace orthospike
