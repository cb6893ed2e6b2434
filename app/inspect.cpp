#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "app/accuracy_table.hpp"
#include "app/commands.hpp"
#include "kernels/error.hpp"
#include "learning/config.hpp"
#include "learning/run_file.hpp"

namespace orthospike {

namespace {

std::filesystem::path run_file_at(const std::filesystem::path& place) {
  if (!std::filesystem::is_directory(place)) return place;
  for (const char* name : {RunFile::name, RunFile::partial_name}) {
    if (std::filesystem::exists(place / name)) return place / name;
  }
  throw EnvironmentError(fmt::format("{}: the folder holds neither {} nor {}", place.string(), RunFile::name,
                                     RunFile::partial_name));
}

void print_subspaces(const RunRecord& record) {
  fmt::print("\n{:<5} {:<20} {:>5} {:>11} {:>12} {:>11} {:>11} {:>8} {:>10} {:>9}\n", "after", "projection",
             "rank", "‖HHᵀ-I‖", "explained %", "mean angle", "max angle", "leak", "eff. rank", "MB");
  for (std::size_t task = 1; task <= record.reports.size(); ++task) {
    if (record.costs[task - 1].training_batches == 0) continue;
    for (std::size_t p = 0; p < record.projections.size(); ++p) {
      const ProjectionReport& report = record.reports[task - 1][p];
      fmt::print("{:<5} {:<20} {:>5} {:>9.4f} {:>12} {:>11.2f} {:>11.2f} {:>8.4f} {:>10.1f} {:>9.3f}\n", task,
                 record.projections[p], report.rank, report.orthonormality_error,
                 percent(report.explained_energy), report.mean_angle, report.largest_angle, report.leak,
                 report.effective_rank, report.memory / 1e6);
    }
  }
}

void print_boundaries(const RunRecord& record) {
  if (record.detected_boundaries.empty()) return;
  fmt::print("\ntasks seemed to begin with the updates {}\n", fmt::join(record.detected_boundaries, ", "));
}

void print_costs(const RunRecord& record) {
  fmt::print("\n{:<5} {:>9} {:>12} {:>14} {:>12} {:>14}\n", "task", "batches", "ms / batch", "multiply-adds",
             "spikes", "synaptic ops");
  PhaseSeconds total{};
  for (std::size_t k = 0; k < record.costs.size(); ++k) {
    const TaskCosts& costs = record.costs[k];
    if (costs.training_batches == 0) continue;
    fmt::print("{:<5} {:>9} {:>12.3f} {:>14.4g} {:>12.4g} {:>14.4g}\n", k + 1, costs.training_batches,
               1e3 * costs.training_seconds() / costs.training_batches, costs.multiply_adds, costs.spikes,
               costs.synaptic_operations);
    for (std::size_t i = 0; i < total.size(); ++i) total[i] += costs.seconds[i];
  }
  fmt::print("(multiply-adds, spikes and synaptic operations of one training sample)\n\nseconds:");
  for (std::size_t i = 0; i < total.size(); ++i) fmt::print(" {} {:.1f}", phase_names[i], total[i]);
  fmt::print("\npeak memory: {:.0f} MB\n", record.peak_memory / 1e6);
}

void print_intransigence(const RunRecord& record, const std::filesystem::path& place) {
  const std::filesystem::path path = run_file_at(place);
  const RunRecord joint = read_run_file(path);
  if (values_by_key(joint.config, path.string() + "/config")["protection.name"] != "joint" ||
      joint.tasks_done == 0 || joint.accuracy.tasks() != record.accuracy.tasks()) {
    throw ConfigError(fmt::format("--joint: {} is not joint training of {} tasks, done", path.string(),
                                  record.accuracy.tasks()));
  }
  fmt::print("intransigence {} %, by task:", percent(record.accuracy.mean_intransigence(joint.accuracy)));
  for (std::size_t task = 1; task <= record.accuracy.tasks(); ++task)
    fmt::print(" {}", percent(record.accuracy.intransigence(joint.accuracy, task)));
  fmt::print("\n");
}

}  // namespace

int inspect_command(const std::vector<std::string>& arguments) {
  const bool compared = arguments.size() == 3 && arguments[1] == "--joint";
  if (arguments.size() != 1 && !compared)
    throw ConfigError("inspect: expected one run file or folder, or RUN --joint JOINT_RUN");
  const std::filesystem::path path = run_file_at(arguments.front());
  const RunRecord record = read_run_file(path);
  fmt::print("{}\northospike {} ({}), started {}, seed {}, {} with {} threads\n{} of {} tasks{}\n\n",
             path.string(), record.origin.version, record.origin.git_revision, record.started,
             record.origin.seed, record.origin.device, record.origin.threads, record.tasks_done,
             record.accuracy.tasks(), record.finished ? "" : ", unfinished");
  fmt::print("{}", accuracy_table(record.accuracy, record.tasks_done));
  if (compared) print_intransigence(record, arguments.back());
  print_subspaces(record);
  print_boundaries(record);
  print_costs(record);
  fmt::print("\n{}", record.config);
  return 0;
}

}  // namespace orthospike
