#pragma once

#include <vector>

#include "datasets/heads.hpp"
#include "datasets/task_sequence.hpp"

namespace orthospike {

/// One data set, its classes dealt out to the tasks.
class Split final : public TaskSequence {
 public:
  enum class Order { sorted, shuffled };

  struct Settings {
    std::size_t count = 5;
    std::vector<std::size_t> classes = {2};  ///< of each task; the last entry is of all later tasks
    Order order = Order::sorted;
    HeadKind head = HeadKind::task;

    void describe(SettingsVisitor& visit);
    Traits traits() const { return {.separate_readouts = head == HeadKind::task}; }
  };

  /// Throws ConfigError where the data set has too few classes.
  Split(const TaskContext& context, const Settings& settings);

  std::size_t count() const override { return settings_.count; }
  std::size_t logits() const override { return heads_.logits(); }

 private:
  Task plan(std::size_t k) const override;

  Settings settings_;
  Heads heads_;
  std::vector<std::vector<std::uint32_t>> classes_;  ///< of each task
};

}  // namespace orthospike
