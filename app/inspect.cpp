#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "app/accuracy_table.hpp"
#include "app/commands.hpp"
#include "app/recordings_table.hpp"
#include "kernels/error.hpp"
#include "learning/config.hpp"
#include "learning/run_file.hpp"
#include "sim/recording_file.hpp"

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

/// Whether it is a folder that `record` wrote, and of no run.
bool holds_recordings_alone(const std::filesystem::path& place) {
  return std::filesystem::is_directory(place) && !std::filesystem::exists(place / RunFile::name) &&
         !std::filesystem::exists(place / RunFile::partial_name) && !recordings_in(place).empty();
}

/// The headings of some measures, or their values in a row.
template <class Row>
std::string columns(const std::vector<Measure<Row>>& measures, const Row* row) {
  std::string text;
  for (const Measure<Row>& measure : measures) {
    const auto& column = measure.column;
    if (column.heading == nullptr) continue;
    const double value = row == nullptr ? 0 : column.factor * measure.value(*row);
    const std::string shown = row == nullptr      ? column.heading
                              : std::isnan(value) ? "-"
                                                  : fmt::format(fmt::runtime(column.format), value);
    text += fmt::format(" {:>{}}", shown, column.width);
  }
  return text;
}

void print_tasks(const RunRecord& record) {
  fmt::print("\n");
  for (std::size_t k = 0; k < record.tasks.size(); ++k)
    fmt::print("task {}: {}\n", k + 1, record.tasks[k].name);
}

void print_subspaces(const RunRecord& record) {
  fmt::print("\n{:<5} {:<20}{}\n", "after", "projection",
             columns<ProjectionReport>(projection_measures(), nullptr));
  for (std::size_t task = 1; task <= record.reports.size(); ++task) {
    if (record.costs[task - 1].training_batches == 0) continue;
    for (std::size_t p = 0; p < record.projections.size(); ++p) {
      fmt::print("{:<5} {:<20}{}\n", task, record.projections[p],
                 columns(projection_measures(), &record.reports[task - 1].projections[p]));
    }
  }
}

/// Where it was measured.
void print_logit_change(const RunRecord& record) {
  std::string text;
  for (std::size_t k = 0; k < record.reports.size(); ++k) {
    const double change = record.reports[k].logit_change;
    if (!std::isnan(change)) text += fmt::format(" {}: {:.1f}", k + 1, 100 * change);
  }
  if (!text.empty()) fmt::print("\nchange of earlier tasks' logits in % by task{}\n", text);
}

void print_boundaries(const RunRecord& record) {
  if (record.detected_boundaries.empty()) return;
  fmt::print("\ntasks seemed to begin with the updates {}\n", fmt::join(record.detected_boundaries, ", "));
}

void print_costs(const RunRecord& record) {
  fmt::print("\n{:<5} {:>12}{}\n", "task", "ms / batch", columns<TaskCosts>(cost_measures(), nullptr));
  PhaseSeconds total{};
  double peak_memory = 0;
  for (std::size_t k = 0; k < record.costs.size(); ++k) {
    const TaskCosts& costs = record.costs[k];
    if (costs.training_batches == 0) continue;
    fmt::print("{:<5} {:>12}{}\n", k + 1,
               number(1e3 * costs.training_seconds() / costs.training_batches, "{:.3f}"),
               columns(cost_measures(), &costs));
    for (std::size_t i = 0; i < total.size(); ++i) total[i] += costs.seconds[i];
    peak_memory = std::max(peak_memory, costs.peak_memory);
  }
  fmt::print("(multiply-adds, spikes and synaptic operations of one training sample)\n\nseconds:");
  for (std::size_t i = 0; i < total.size(); ++i)
    fmt::print(" {} {}", phase_names[i], number(total[i], "{:.1f}"));
  fmt::print("\npeak memory: {} MB\n", number(peak_memory / 1e6, "{:.0f}"));
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
  const std::filesystem::path place = arguments.front();
  if (holds_recordings_alone(place)) {
    fmt::print("{}", recordings_table(place));
    return 0;
  }
  const std::filesystem::path path = run_file_at(place);
  const RunRecord record = read_run_file(path);
  fmt::print("{}\northospike {} ({}), started {}, seed {}, {} with {} threads\n{} of {} tasks{}\n\n",
             path.string(), record.origin.version, record.origin.git_revision, record.started,
             record.origin.seed, record.origin.device, record.origin.threads, record.tasks_done,
             record.accuracy.tasks(), record.finished ? "" : ", unfinished");
  fmt::print("{}", accuracy_table(record.accuracy, record.tasks, record.tasks_done));
  if (compared) print_intransigence(record, arguments.back());
  print_tasks(record);
  print_subspaces(record);
  print_logit_change(record);
  print_boundaries(record);
  print_costs(record);
  const std::string recordings = recordings_table(path.has_parent_path() ? path.parent_path() : ".");
  if (!recordings.empty()) fmt::print("\n{}", recordings);
  fmt::print("\n{}", record.config);
  return 0;
}

}  // namespace orthospike
