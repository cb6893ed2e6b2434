#include "learning/run_file.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <limits>
#include <numeric>
#include <type_traits>

#include "kernels/error.hpp"
#include "learning/logit_change.hpp"

namespace orthospike {

namespace {

constexpr double not_measured = std::numeric_limits<double>::quiet_NaN();

double peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024.0;
}

void add_measure(Hdf5File& file, const std::string& object, const std::vector<std::size_t>& shape,
                 const std::string& definition, const std::string& unit = "") {
  file.add<double>(object, shape, not_measured);
  file.add_attribute(object, "definition", definition);
  if (!unit.empty()) file.add_attribute(object, "unit", unit);
}

/// The data sets of a list of measures, in a group.
template <class Row>
void add_measures(Hdf5File& file, const std::string& group, const std::vector<Measure<Row>>& measures,
                  const std::vector<std::size_t>& shape) {
  for (const Measure<Row>& measure : measures) {
    const std::string object = group + "/" + measure.name;
    std::visit(
        [&]<class T>(T Row::*) {
          file.add<T>(object, shape, std::is_floating_point_v<T> ? static_cast<T>(not_measured) : T{});
        },
        measure.member);
    file.add_attribute(object, "definition", std::string(measure.definition));
    if (*measure.unit != 0) file.add_attribute(object, "unit", std::string(measure.unit));
  }
}

/// Row `at` of these data sets: of each measure, one number a report.
template <class Row>
void write_measures(Hdf5File& file, const std::string& group, const std::vector<Measure<Row>>& measures,
                    std::size_t at, std::span<const Row> reports) {
  for (const Measure<Row>& measure : measures) {
    std::visit(
        [&]<class T>(T Row::*member) {
          std::vector<T> values;
          for (const Row& report : reports) values.push_back(report.*member);
          file.write_rows<T>(group + "/" + measure.name, at, values);
        },
        measure.member);
  }
}

/// All of them into `reports`. Throws EnvironmentError where there are not as many.
template <class Row>
void read_measures(const Hdf5File& file, const std::string& group, const std::vector<Measure<Row>>& measures,
                   std::vector<Row>& reports,
                   const std::function<EnvironmentError(const std::string&)>& damaged) {
  for (const Measure<Row>& measure : measures) {
    const std::string object = group + "/" + measure.name;
    const bool is_there = measure.always_written || file.exists(object);
    std::visit(
        [&]<class T>(T Row::*member) {
          const std::vector<T> values = is_there ? file.read<T>(object) : std::vector<T>();
          if (is_there && values.size() != reports.size()) throw damaged(object);
          for (std::size_t i = 0; i < reports.size(); ++i)
            reports[i].*member = is_there ? values[i] : static_cast<T>(not_measured);
        },
        measure.member);
  }
}

}  // namespace

const std::vector<Measure<TaskCosts>>& cost_measures() {
  using C = TaskCosts;
  static const std::vector<Measure<C>> measures = {
      {"training_batches", &C::training_batches, "", "updates of each task", {"batches", 9, "{:.0f}"}},
      {"training_samples", &C::training_samples, "", "samples shown in the updates"},
      {"multiply_adds",
       &C::multiply_adds,
       "",
       "dense multiply-adds a training sample",
       {"multiply-adds", 14, "{:.4g}"}},
      {"spikes", &C::spikes, "", "spikes a training sample", {"spikes", 12, "{:.4g}"}},
      {"synaptic_operations",
       &C::synaptic_operations,
       "",
       "weights added to currents by spikes, a training sample",
       {"synaptic ops", 14, "{:.4g}"}},
      {"peak_memory", &C::peak_memory, "byte", "peak resident set of the process until the end of the task"}};
  return measures;
}

void TaskCosts::state(Archive& archive) {
  for (const Measure<TaskCosts>& measure : cost_measures())
    std::visit([&](auto member) { archive(measure.name, this->*member); }, measure.member);
}

double TaskCosts::training_seconds() const {
  return std::accumulate(seconds.begin(), seconds.end(), 0.0) -
         seconds[static_cast<std::size_t>(Phase::evaluate)] -
         seconds[static_cast<std::size_t>(Phase::measure)];
}

double RunRecord::seconds() const {
  double sum = 0;
  for (const TaskCosts& task : costs) sum = std::accumulate(task.seconds.begin(), task.seconds.end(), sum);
  return sum;
}

double RunRecord::training_samples_per_second() const {
  double samples = 0, training_seconds = 0;
  for (const TaskCosts& task : costs) {
    samples += static_cast<double>(task.training_samples);
    training_seconds += task.training_seconds();
  }
  return samples / training_seconds;
}

RunFile::RunFile(const std::filesystem::path& folder, const std::string& config, const RunOrigin& origin,
                 const std::vector<TaskDescription>& tasks, const std::vector<std::string>& projections)
    : folder_(folder), tasks_(tasks.size()), file_(Hdf5File::create(folder / partial_name)) {
  file_.add_attribute("/", "format", std::string("orthospike run"));
  file_.add_attribute("/", "format_version", std::uint64_t{1});
  file_.add_attribute("/", "version", origin.version);
  file_.add_attribute("/", "git_revision", origin.git_revision);
  file_.add_attribute("/", "started", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))));
  file_.add_attribute("/", "device", origin.device);
  file_.add_attribute("/", "seed", origin.seed);
  file_.add_attribute("/", "threads", origin.threads);
  file_.add_text("/config", config);
  file_.add<std::uint32_t>("/progress/tasks_done", {1}, 0);

  const std::size_t T = tasks.size();
  std::vector<std::string> names;
  std::vector<std::uint32_t> told;
  for (const TaskDescription& task : tasks) {
    names.push_back(task.name);
    told.push_back(task.told ? 1 : 0);
  }
  file_.add<std::uint32_t>("/tasks/told", {T}, 0);
  file_.write_rows<std::uint32_t>("/tasks/told", 0, told);
  file_.add_attribute(
      "/tasks/told", "definition",
      std::string("1 where the network is told at test time which task a sample is of, so that it seeks "
                  "the answer among the classes of that task alone; else 0"));
  file_.add_attribute("/tasks/told", "names", names);
  add_measure(
      file_, "/metrics/accuracy", {T + 1, T},
      "R[i][j]: accuracy on task j after training task i; row 0 is before any training; NaN: not evaluated");
  add_measure(file_, "/metrics/loss", {T + 1, T}, "mean cross-entropy in place of each R[i][j]", "nat");
  for (const MatrixMeasure& measure : matrix_measures())
    add_measure(file_, std::string("/metrics/") + measure.name, {T}, measure.definition);
  add_measure(
      file_, "/metrics/forgetting", {T, T},
      "after k tasks, of task j < k: max over j <= i < k of R[i][j] - R[k][j] (Chaudhry, Mammoth); NaN where "
      "one of these was not evaluated");
  add_measure(file_, "/metrics/logit_change", {T}, LogitChange::definition);

  for (const char* column : {"/curves/task", "/curves/epoch", "/curves/batch"}) {
    file_.add<std::uint32_t>(column, {0}, 0);
    file_.add_attribute(
        column, "definition",
        std::string("of each update, counted from 1; an epoch of federated training is a round"));
  }
  add_measure(file_, "/curves/loss", {0}, "mean loss over the samples of the update, before it", "nat");
  add_measure(file_, "/curves/accuracy", {0}, "accuracy on the samples of the update, before it");

  file_.add<std::uint32_t>("/boundaries/detected", {0}, 0);
  file_.add_attribute(
      "/boundaries/detected", "definition",
      std::string("updates with which a task seemed to begin, counted from 1 over all tasks"));

  add_measures(file_, "/subspace", projection_measures(), {T, projections.size()});
  for (const auto& measure : projection_measures())
    file_.add_attribute(std::string("/subspace/") + measure.name, "projections", projections);

  add_measure(file_, "/costs/seconds", {T, phase_names.size()}, "seconds of each phase of the task", "s");
  file_.add_attribute("/costs/seconds", "phases",
                      std::vector<std::string>(phase_names.begin(), phase_names.end()));
  add_measures(file_, "/costs", cost_measures(), {T});
  file_.start_concurrent_reading();
}

void RunFile::write_accuracies(const AccuracyMatrix& accuracy, std::span<const double> losses,
                               std::size_t after) {
  const std::span<const double> row(accuracy.values().data() + after * tasks_, tasks_);
  file_.write_rows<double>("/metrics/accuracy", after, row);
  file_.write_rows<double>("/metrics/loss", after, losses);
  if (after > 0) {
    const auto write = [&](const std::string& object, double value) {
      file_.write_rows<double>(object, after - 1, std::span(&value, 1));
    };
    for (const MatrixMeasure& measure : matrix_measures())
      write(std::string("/metrics/") + measure.name, (accuracy.*measure.value)(after));
    std::vector<double> forgetting(tasks_);
    for (std::size_t j = 1; j <= tasks_; ++j) forgetting[j - 1] = accuracy.forgetting(after, j);
    file_.write_rows<double>("/metrics/forgetting", after - 1, forgetting);
  }
  file_.flush();
}

void RunFile::append_curves(std::size_t task, std::size_t epoch, std::size_t first,
                            std::span<const double> losses, std::span<const double> accuracies) {
  std::vector<std::uint32_t> column(losses.size(), static_cast<std::uint32_t>(task));
  file_.append<std::uint32_t>("/curves/task", column);
  column.assign(losses.size(), static_cast<std::uint32_t>(epoch));
  file_.append<std::uint32_t>("/curves/epoch", column);
  std::iota(column.begin(), column.end(), static_cast<std::uint32_t>(first));
  file_.append<std::uint32_t>("/curves/batch", column);
  file_.append<double>("/curves/loss", losses);
  file_.append<double>("/curves/accuracy", accuracies);
  const auto now = std::chrono::steady_clock::now();
  if (now - curves_shown_ < std::chrono::milliseconds(500)) return;
  file_.flush();
  curves_shown_ = now;
}

void RunFile::append_boundaries(std::span<const std::uint32_t> updates) {
  file_.append<std::uint32_t>("/boundaries/detected", updates);
}

void RunFile::write_report(std::size_t task, const TaskReport& report) {
  write_measures<ProjectionReport>(file_, "/subspace", projection_measures(), task - 1, report.projections);
  file_.write_rows<double>("/metrics/logit_change", task - 1, std::span(&report.logit_change, 1));
}

void RunFile::write_costs(std::size_t task, const TaskCosts& costs) {
  file_.write_rows<double>("/costs/seconds", task - 1, costs.seconds);
  TaskCosts with_memory = costs;
  with_memory.peak_memory = peak_memory_bytes();
  write_measures<TaskCosts>(file_, "/costs", cost_measures(), task - 1, std::span(&with_memory, 1));
  file_.flush();  // before the task counts as done: who reads meanwhile sees all of it
  const auto done = static_cast<std::uint32_t>(task);
  file_.write_rows<std::uint32_t>("/progress/tasks_done", 0, std::span(&done, 1));
  file_.flush();
}

void RunFile::state(Archive& archive) {
  for (const std::string& object : file_.numeric_objects("/")) {
    Hdf5Values now = file_.read_values(object);
    std::visit(
        [&]<class T>(std::vector<T>& values) {
          const std::string member = object.substr(1);
          if (const bool grows = values.empty(); grows) {
            archive.resizable(member, values);
            if (archive.loads()) file_.append<T>(object, values);
          } else {
            archive(member, values);
            if (archive.loads()) file_.write_rows<T>(object, 0, values);
          }
        },
        now);
  }
}

void RunFile::finish() {
  file_.close_as(final_path());
}

RunRecord read_run_file(const std::filesystem::path& path) {
  const Hdf5File file = Hdf5File::open(path);
  if (file.text_attribute("/", "format") != "orthospike run" ||
      file.integer_attribute("/", "format_version") != 1) {
    throw EnvironmentError(fmt::format("{}: not an orthospike run file of format version 1", path.string()));
  }
  const auto damaged = [&](const std::string& object) -> EnvironmentError {
    return EnvironmentError(fmt::format("{}: {} does not have the expected shape", path.string(), object));
  };
  /// All elements of an object that should have that many.
  const auto read = [&]<class T>(const std::string& object, std::size_t size, T) {
    std::vector<T> values = file.read<T>(object);
    if (values.size() != size) throw damaged(object);
    return values;
  };

  // First: beside a writer, HDF5 goes on to see an object as it was when it first looked, and what it looks at after
  // this has all that these tasks wrote.
  const std::size_t tasks_done = read("/progress/tasks_done", 1, std::uint32_t{})[0];
  RunRecord record{.finished = false,
                   .config = file.read_text("/config"),
                   .origin = {.version = file.text_attribute("/", "version"),
                              .git_revision = file.text_attribute("/", "git_revision"),
                              .device = file.text_attribute("/", "device"),
                              .seed = file.integer_attribute("/", "seed"),
                              .threads = file.integer_attribute("/", "threads")},
                   .started = file.text_attribute("/", "started"),
                   .projections = file.texts_attribute("/subspace/rank", "projections"),
                   .tasks = {},
                   .tasks_done = tasks_done,
                   .detected_boundaries = {},
                   .reports = {},
                   .costs = {}};
  const std::vector<std::size_t> shape = file.shape("/metrics/accuracy");
  if (shape.size() != 2 || shape[0] != shape[1] + 1 || record.tasks_done > shape[1])
    throw damaged("/metrics/accuracy");
  const std::size_t T = shape[1];
  record.finished = path.filename() != RunFile::partial_name && record.tasks_done == T;
  const std::size_t P = record.projections.size();
  record.accuracy = AccuracyMatrix(T);
  if (file.exists("/tasks/told")) {  // files of earlier versions lack it
    const auto told = read("/tasks/told", T, std::uint32_t{});
    const std::vector<std::string> names = file.texts_attribute("/tasks/told", "names");
    if (names.size() != T) throw damaged("/tasks/told");
    for (std::size_t k = 0; k < T; ++k) record.tasks.push_back({.name = names[k], .told = told[k] != 0});
  }
  const std::vector<double> accuracy = read("/metrics/accuracy", (T + 1) * T, double{});
  for (std::size_t i = 0; i <= T; ++i) {
    for (std::size_t j = 1; j <= T; ++j) record.accuracy.at(i, j) = accuracy[i * T + j - 1];
  }

  std::vector<ProjectionReport> reports(T * P);
  read_measures(file, "/subspace", projection_measures(), reports, damaged);
  if (file.exists("/boundaries/detected"))
    record.detected_boundaries = file.read<std::uint32_t>("/boundaries/detected");
  std::vector<TaskCosts> costs(T);
  read_measures(file, "/costs", cost_measures(), costs, damaged);
  std::vector<double> logit_change(T, not_measured);
  if (file.exists("/metrics/logit_change"))  // files of earlier versions lack it
    logit_change = read("/metrics/logit_change", T, double{});
  const auto seconds = read("/costs/seconds", T * phase_names.size(), double{});
  for (std::size_t k = 0; k < record.tasks_done; ++k) {
    const auto row = reports.begin() + static_cast<std::ptrdiff_t>(k * P);
    record.reports.push_back(
        {.projections = {row, row + static_cast<std::ptrdiff_t>(P)}, .logit_change = logit_change[k]});
    record.costs.push_back(costs[k]);
    if (costs[k].training_batches == 0) continue;
    std::copy_n(seconds.begin() + static_cast<std::ptrdiff_t>(k * phase_names.size()), phase_names.size(),
                record.costs[k].seconds.begin());
  }
  return record;
}

}  // namespace orthospike
