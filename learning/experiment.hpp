#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>

#include "datasets/data_set.hpp"
#include "learning/communicator.hpp"
#include "learning/config.hpp"
#include "learning/metrics.hpp"
#include "learning/run_file.hpp"

namespace orthospike {

/// How far the training of a task is. Counts start at 1.
struct TrainingReport {
  std::size_t task;
  std::string pass;  ///< "epoch 2"; "round 2" or "observation" of federated training
  std::string unit;  ///< of what a pass has several: "batch", "client"
  std::size_t done, all;
  double loss = 0, accuracy = 0;  ///< over those since the last report
};

/// Told how an experiment goes on. All counts start at 1.
class ExperimentObserver {
 public:
  virtual ~ExperimentObserver() = default;

  /// Something the user should know and can do nothing wrong about, one sentence.
  virtual void warn(const std::string& sentence) = 0;
  /// Before the first evaluation: what the tasks are.
  virtual void begins(const std::vector<TaskDescription>& tasks) = 0;
  /// After some updates.
  virtual void training(const TrainingReport& report) = 0;
  /// After the accuracies of row `after` (0: before any training) are known.
  virtual void evaluated(const AccuracyMatrix& accuracy, std::size_t after) = 0;
  /// Before anything else, where a run goes on: a sentence that says from where.
  virtual void goes_on(const std::string& /*sentence*/) {}
  /// Asked after each batch: whether to write a checkpoint and end there.
  virtual bool wants_to_stop() { return false; }
};

/// A run ended where its observer wanted it to; says where. With its checkpoint, the same run goes on from there.
class Interrupted : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Trains the config's task sequence on the data sets that it names and writes `folder`/run.h5, whose content it
/// returns, and the network's weights beside it (weights_file.hpp). The same config, seed and device give the same
/// numbers whatever the number of threads. Where the folder has a checkpoint, the run goes on from there and ends as it
/// would have without the interruption, bit for bit. Throws ConfigError, also for a checkpoint of another config,
/// EnvironmentError, Interrupted. All ranks of a run call it, for one folder that all can read and the first one writes;
/// what it returns to the others is empty. Where any observer wants to stop, all do.
RunRecord run_experiment(const Config& config, const std::vector<ImageData>& data,
                         const std::filesystem::path& folder, ExperimentObserver& observer,
                         Communicator& ranks = alone());

/// Removes what a run that was killed when it had just ended left beside its files.
void tidy_finished_run(const std::filesystem::path& folder);

/// Removes from a folder all that run_experiment writes there, whether it ended or not.
void remove_run(const std::filesystem::path& folder);

}  // namespace orthospike
