#pragma once

#include <vector>

#include "datasets/task_sequence.hpp"

namespace orthospike {

/// One data set, each task turned by its own angle: a task for each angle.
class Rotated final : public TaskSequence {
 public:
  struct Settings {
    std::vector<float> angles = {0, 10, 20, 30, 40, 50, 60, 70, 80, 90};

    void describe(SettingsVisitor& visit);
  };

  Rotated(const TaskContext& context, const Settings& settings);

  std::size_t count() const override { return settings_.angles.size(); }
  std::size_t logits() const override { return data().front().train.classes; }

 private:
  Task plan(std::size_t k) const override;

  Settings settings_;
};

}  // namespace orthospike
