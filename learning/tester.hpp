#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "learning/recording.hpp"
#include "learning/trainer.hpp"
#include "learning/weights_file.hpp"

namespace orthospike {

/// What a network answered to the test samples of a task.
struct TestedTask {
  TaskDescription task;
  Head head;  ///< the logits among which answers were sought
  /// Numbers of images in the test set, or in the training set where test samples are held back.
  std::vector<std::uint32_t> samples;
  std::vector<std::uint8_t> labels;   ///< of each sample, the logit of its class
  std::vector<std::uint8_t> answers;  ///< the first of the largest logits of the head
  std::vector<float> scores;          ///< [samples × logits] the logits themselves
  Evaluation result;
};

/// Shows a trained network the test samples of tasks: with the config and data of its run, accuracies are those of the
/// last row of the run's accuracy matrix, bit for bit.
class Tester {
 public:
  /// config: that of `trained`, perhaps with other tasks. It and the data outlive this. `warn` hears of a device that does not
  /// work. Throws ConfigError where images or classes of the tasks are not those of the network, EnvironmentError
  /// where the stored network is not that of its own config.
  Tester(const TrainedNetwork& trained, const Config& config, const std::vector<ImageData>& data,
         const Warning& warn);

  std::size_t tasks() const { return tasks_.count(); }
  /// Task k, counted from 0. Throws EnvironmentError where a logit is not finite.
  TestedTask test(std::size_t k);

  /// From now on tests are recorded as the config says, into files of the folder. Throws ConfigError as RunRecording does,
  /// EnvironmentError where the disk has no room for them.
  void record(const std::filesystem::path& folder);
  /// Samples of task k that are.
  std::size_t recorded(std::size_t k) const { return recording_->tests(k, tasks_trained_); }
  void finish_recording() { recording_->finish(); }

 private:
  static std::unique_ptr<TaskSequence> matching_sequence(const TrainedNetwork& trained, const Config& config,
                                                         const std::vector<ImageData>& data);

  const Config& config_;
  std::size_t tasks_trained_;
  std::unique_ptr<TaskSequence> sequence_;
  std::unique_ptr<Backend> backend_;
  StoredTasks tasks_;
  Trainer trainer_;
  std::optional<RunRecording> recording_;
};

}  // namespace orthospike
