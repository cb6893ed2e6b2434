#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "learning/passes.hpp"
#include "learning/stored_tasks.hpp"
#include "sim/recorder.hpp"

namespace orthospike {

/// Records some of the samples that a run shows its network.
class RunRecording {
 public:
  /// head: the config and versions. Tasks and engine outlive this. Throws ConfigError as Recorder does.
  RunRecording(const Config& config, StoredTasks& tasks, ClockEngine& engine, Backend& backend,
               const std::filesystem::path& folder, const RecordingHead& head);

  /// Recorded samples among the tests of task k, counted from 0, after so many tasks, or of each epoch of its training.
  std::size_t tests(std::size_t k, std::size_t after) const;
  std::size_t trained(std::size_t k) const;
  /// Throws EnvironmentError where the disk has no room for so many presentations.
  void require_room(std::size_t presentations) const;

  /// What the engine is about to be shown: the tests of task k, or a pass from a batch on of the training of task
  /// `after` + 1; passes count from 0. Anything else is not recorded.
  void follow_tests(std::size_t k, std::size_t after);
  void follow_training(const Pass& pass, std::size_t epoch, std::size_t batch, std::size_t after);
  /// What is recorded between `mark` and `release` counts only once that is reached: a checkpoint in between leaves it out.
  void mark() { recorder_.mark(); }
  void release() { recorder_.release(); }

  void state(Archive& archive) { recorder_.state(archive); }
  void finish() { recorder_.finish(); }

 private:
  using Phase = Presentation::Phase;

  bool has_task(std::size_t k) const { return settings_.tasks.contains(k + 1); }
  /// Numbers of the images of a task that are recorded, ascending.
  const std::vector<std::uint32_t>& chosen(std::size_t k, Phase phase);

  const RecordSettings settings_;
  const std::uint64_t seed_;
  StoredTasks& tasks_;
  Backend& backend_;
  std::filesystem::path folder_;
  Recorder recorder_;
  std::map<std::pair<std::size_t, Phase>, std::vector<std::uint32_t>>
      chosen_;  ///< numbers of images, ascending
};

}  // namespace orthospike
