#pragma once

#include "datasets/heads.hpp"
#include "datasets/task_sequence.hpp"

namespace orthospike {

/// Several data sets, a task each. All images are brought to the largest height, width and number of channels.
class Joined final : public TaskSequence {
 public:
  struct Settings {
    Fit fit = Fit::pad;
    HeadKind head = HeadKind::task;

    void describe(SettingsVisitor& visit);
    Traits traits() const { return {.separate_readouts = head == HeadKind::task}; }
  };

  /// Throws ConfigError where channels differ and are not one.
  Joined(const TaskContext& context, const Settings& settings);

  std::size_t count() const override { return data().size(); }
  std::size_t logits() const override { return heads_.logits(); }

 private:
  Task plan(std::size_t k) const override;

  Settings settings_;
  Heads heads_;
  MapShape shape_;
};

}  // namespace orthospike
