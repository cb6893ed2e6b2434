#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "learning/metrics.hpp"
#include "learning/monitor.hpp"
#include "sim/archive.hpp"
#include "sim/hdf5_file.hpp"

namespace orthospike {

/// What a run file says about its run beside the config.
struct RunOrigin {
  std::string version;
  std::string git_revision;
  std::string device;
  std::uint64_t seed = 0;
  std::uint64_t threads = 0;
};

/// What a run says about one of its tasks.
struct TaskDescription {
  std::string name;
  bool told = false;  ///< whether the network is told at test time which task a sample is of; see Task

  bool operator==(const TaskDescription&) const = default;
};

/// What the training of one task took, replay included. Multiply-adds, spikes and synaptic operations are of
/// one sample. Joint training is that of the last task; the others have no updates.
struct TaskCosts {
  PhaseSeconds seconds{};
  std::uint32_t training_batches = 0;
  std::uint64_t training_samples = 0;
  double multiply_adds = 0;
  double spikes = 0;
  double synaptic_operations = 0;
  double peak_memory = 0;  ///< bytes, of the process until the end of the task

  void state(Archive& archive);
  /// Seconds of training alone, without evaluation and measurement.
  double training_seconds() const;
};

/// All costs but the seconds of the phases.
const std::vector<Measure<TaskCosts>>& cost_measures();

/// What is measured of the network at the end of a task.
struct TaskReport {
  std::vector<ProjectionReport> projections;
  double logit_change = 0;  ///< see LogitChange
};

/// Writes run.h5 (layout: run_file.md). Until `finish` the file is run.partial.h5 in the same folder, which
/// others may read. Throws EnvironmentError when it cannot be written.
class RunFile {
 public:
  static constexpr const char* name = "run.h5";
  static constexpr const char* partial_name = "run.partial.h5";

  RunFile(const std::filesystem::path& folder, const std::string& config, const RunOrigin& origin,
          const std::vector<TaskDescription>& tasks, const std::vector<std::string>& projections);

  /// Row `after` of the accuracy and loss matrices and, for after > 0, the measures that follow from it.
  void write_accuracies(const AccuracyMatrix& accuracy, std::span<const double> losses, std::size_t after);
  /// Mean loss and accuracy of consecutive updates of one epoch; task, epoch and the first of the updates count from 1.
  /// Others, who read the file meanwhile, are shown them twice a second at most.
  void append_curves(std::size_t task, std::size_t epoch, std::size_t first, std::span<const double> losses,
                     std::span<const double> accuracies);
  /// Updates with which a task seemed to begin, after those so far.
  void append_boundaries(std::span<const std::uint32_t> updates);
  /// What is measured at the end of a task's training (counted from 1).
  void write_report(std::size_t task, const TaskReport& report);
  /// The last of what is written of a task, then a flush: readers see the task.
  void write_costs(std::size_t task, const TaskCosts& costs);
  /// All that was written; loaded into a file to which nothing was written yet.
  void state(Archive& archive);
  /// Gives the file its final name.
  void finish();

  std::filesystem::path final_path() const { return folder_ / name; }

 private:
  std::filesystem::path folder_;
  std::size_t tasks_;
  Hdf5File file_;
  std::chrono::steady_clock::time_point curves_shown_ = {};
};

/// What a run file holds, finished or not, as written.
struct RunRecord {
  bool finished = false;
  std::string config;
  RunOrigin origin;
  std::string started;
  std::vector<std::string> projections;
  std::vector<TaskDescription> tasks;  ///< empty in files of earlier versions
  std::size_t tasks_done = 0;
  AccuracyMatrix accuracy{1};
  std::vector<std::uint32_t> detected_boundaries;  ///< updates, see Trainer
  std::vector<TaskReport> reports;                 ///< [tasks_done]
  std::vector<TaskCosts> costs;                    ///< [tasks_done]

  /// Of all tasks so far: of all phases, and training samples shown for each second of training alone.
  double seconds() const;
  double training_samples_per_second() const;
};

/// Reads `path`. Throws EnvironmentError when it is not a whole run file.
RunRecord read_run_file(const std::filesystem::path& path);

}  // namespace orthospike
