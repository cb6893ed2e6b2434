#pragma once

#include "datasets/task_sequence.hpp"

namespace orthospike {

/// One data set, each task with its own random order of the pixels, the first one permuted too (permuted MNIST as in
/// Goodfellow et al. 2014; the published HLOP settings permute every task). The channels of a pixel stay together.
class Permuted final : public TaskSequence {
 public:
  struct Settings {
    std::size_t count = 10;

    void describe(SettingsVisitor& visit);
  };

  Permuted(const TaskContext& context, const Settings& settings);

  std::size_t count() const override { return settings_.count; }
  std::size_t logits() const override { return data().front().train.classes; }

 private:
  Task plan(std::size_t k) const override;

  Settings settings_;
};

}  // namespace orthospike
