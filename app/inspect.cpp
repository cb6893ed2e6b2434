#include <fmt/format.h>
#include <fmt/ranges.h>

#include "app/accuracy_table.hpp"
#include "app/commands.hpp"
#include "kernels/error.hpp"
#include "learning/config.hpp"
#include "learning/run_file.hpp"

namespace orthospike {

namespace {

std::filesystem::path run_file_at(const std::filesystem::path& place) {
  if (!std::filesystem::is_directory(place)) return place;
  // The name again: a run may finish meanwhile.
  for (const char* name : {RunFile::name, RunFile::partial_name, RunFile::name}) {
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
      fmt::print("{:<5} {:<20} {:>5} {:>9} {:>12} {:>11} {:>11} {:>8} {:>10} {:>9}\n", task,
                 record.projections[p], report.rank, number(report.orthonormality_error, "{:.4f}"),
                 percent(report.explained_energy), number(report.mean_angle, "{:.2f}"),
                 number(report.largest_angle, "{:.2f}"), number(report.leak, "{:.4f}"),
                 number(report.effective_rank, "{:.1f}"), number(report.memory / 1e6, "{:.3f}"));
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
    fmt::print("{:<5} {:>9} {:>12} {:>14} {:>12} {:>14}\n", k + 1, costs.training_batches,
               number(1e3 * costs.training_seconds() / costs.training_batches, "{:.3f}"),
               number(costs.multiply_adds, "{:.4g}"), number(costs.spikes, "{:.4g}"),
               number(costs.synaptic_operations, "{:.4g}"));
    for (std::size_t i = 0; i < total.size(); ++i) total[i] += costs.seconds[i];
  }
  fmt::print("(multiply-adds, spikes and synaptic operations of one training sample)\n\nseconds:");
  for (std::size_t i = 0; i < total.size(); ++i)
    fmt::print(" {} {}", phase_names[i], number(total[i], "{:.1f}"));
  fmt::print("\npeak memory: {} MB\n", number(record.peak_memory / 1e6, "{:.0f}"));
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
