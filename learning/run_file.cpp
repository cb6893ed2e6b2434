#include "learning/run_file.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <numeric>

#include "kernels/error.hpp"

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

}  // namespace

double TaskCosts::training_seconds() const {
  return std::accumulate(seconds.begin(), seconds.end(), 0.0) -
         seconds[static_cast<std::size_t>(Phase::evaluate)] -
         seconds[static_cast<std::size_t>(Phase::measure)];
}

RunFile::RunFile(const std::filesystem::path& folder, const std::string& config, const RunOrigin& origin,
                 std::size_t tasks, const std::vector<std::string>& projections)
    : folder_(folder), tasks_(tasks), file_(Hdf5File::create(folder / partial_name)) {
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

  const std::size_t T = tasks;
  add_measure(file_, "/metrics/accuracy", {T + 1, T}, definitions::accuracy);
  add_measure(file_, "/metrics/loss", {T + 1, T}, "mean cross-entropy in place of each R[i][j]", "nat");
  add_measure(file_, "/metrics/average_accuracy", {T}, definitions::average_accuracy);
  add_measure(file_, "/metrics/backward_transfer", {T}, definitions::backward_transfer);
  add_measure(file_, "/metrics/forward_transfer", {T}, definitions::forward_transfer);
  add_measure(file_, "/metrics/learning_accuracy", {T}, definitions::learning_accuracy);
  add_measure(file_, "/metrics/forgetting", {T, T}, definitions::forgetting);

  for (const char* column : {"/curves/task", "/curves/epoch", "/curves/batch"}) {
    file_.add<std::uint32_t>(column, {0}, 0);
    file_.add_attribute(column, "definition", std::string("of each update, counted from 1"));
  }
  add_measure(file_, "/curves/loss", {0}, "mean loss over the samples of the update, before it", "nat");
  add_measure(file_, "/curves/accuracy", {0}, "accuracy on the samples of the update, before it");

  file_.add<std::uint32_t>("/boundaries/detected", {0}, 0);
  file_.add_attribute(
      "/boundaries/detected", "definition",
      std::string("updates with which a task seemed to begin, counted from 1 over all tasks"));

  const std::vector<std::size_t> by_projection = {T, projections.size()};
  file_.add<std::uint32_t>("/subspace/rank", by_projection, 0);
  file_.add_attribute("/subspace/rank", "definition", std::string("subspace neurons after each task"));
  add_measure(file_, "/subspace/orthonormality_error", by_projection, "Frobenius norm of H Hᵀ - I");
  add_measure(file_, "/subspace/largest_eigenvalue", by_projection,
              "of H Hᵀ: 1 when the rows are orthonormal, above 2 X - X Hᵀ H amplifies");
  add_measure(file_, "/subspace/explained_energy", by_projection,
              "‖X Hᵀ H‖² / ‖X‖², X: kept samples of presynaptic activity of all tasks so far");
  add_measure(file_, "/subspace/mean_angle", by_projection,
              "mean principal angle between the rows of H and as many leading eigenvectors of Xᵀ X",
              "degree");
  add_measure(file_, "/subspace/largest_angle", by_projection,
              "largest principal angle between the rows of H and as many leading eigenvectors of Xᵀ X",
              "degree");
  add_measure(file_, "/subspace/leak", by_projection,
              "‖ΔW x_old‖ / (‖ΔW‖ ‖x_old‖), ΔW: the task's whole change before replay, x_old: kept activity "
              "of earlier tasks");
  add_measure(
      file_, "/subspace/effective_rank", by_projection,
      "directions that the protection takes from later changes, each counted by the part that is taken");
  add_measure(file_, "/subspace/memory", by_projection,
              "what the protection keeps of finished tasks, without buffers", "byte");
  for (const char* object : {"rank", "orthonormality_error", "largest_eigenvalue", "explained_energy",
                             "mean_angle", "largest_angle", "leak", "effective_rank", "memory"}) {
    file_.add_attribute(fmt::format("/subspace/{}", object), "projections", projections);
  }

  add_measure(file_, "/costs/seconds", {T, phase_names.size()}, "seconds of each phase of the task", "s");
  file_.add_attribute("/costs/seconds", "phases",
                      std::vector<std::string>(phase_names.begin(), phase_names.end()));
  file_.add<std::uint32_t>("/costs/training_batches", {T}, 0);
  file_.add_attribute("/costs/training_batches", "definition", std::string("updates of each task"));
  file_.add<std::uint64_t>("/costs/training_samples", {T}, 0);
  file_.add_attribute("/costs/training_samples", "definition", std::string("samples shown in the updates"));
  add_measure(file_, "/costs/multiply_adds", {T}, "dense multiply-adds a training sample");
  add_measure(file_, "/costs/spikes", {T}, "spikes a training sample");
  add_measure(file_, "/costs/synaptic_operations", {T},
              "weights added to currents by spikes, a training sample");
  add_measure(file_, "/costs/peak_memory", {T}, "peak resident set of the process until the end of the task",
              "byte");
  file_.start_concurrent_reading();
}

void RunFile::write_accuracies(const AccuracyMatrix& accuracy, std::span<const double> losses,
                               std::size_t after) {
  const std::span<const double> row(accuracy.values().data() + after * tasks_, tasks_);
  file_.write_rows<double>("/metrics/accuracy", after, row);
  file_.write_rows<double>("/metrics/loss", after, losses);
  if (after > 0) {
    const auto write = [&](const char* object, double value) {
      file_.write_rows<double>(object, after - 1, std::span(&value, 1));
    };
    write("/metrics/average_accuracy", accuracy.average_accuracy(after));
    write("/metrics/backward_transfer", accuracy.backward_transfer(after));
    write("/metrics/forward_transfer", accuracy.forward_transfer(after));
    write("/metrics/learning_accuracy", accuracy.learning_accuracy(after));
    std::vector<double> forgetting(tasks_);
    for (std::size_t j = 1; j <= tasks_; ++j) forgetting[j - 1] = accuracy.forgetting(after, j);
    file_.write_rows<double>("/metrics/forgetting", after - 1, forgetting);
  }
  file_.flush();
}

void RunFile::append_curves(std::uint32_t task, std::uint32_t epoch, std::span<const double> losses,
                            std::span<const double> accuracies) {
  std::vector<std::uint32_t> column(losses.size(), task);
  file_.append<std::uint32_t>("/curves/task", column);
  column.assign(losses.size(), epoch);
  file_.append<std::uint32_t>("/curves/epoch", column);
  for (std::size_t i = 0; i < column.size(); ++i) column[i] = static_cast<std::uint32_t>(i + 1);
  file_.append<std::uint32_t>("/curves/batch", column);
  file_.append<double>("/curves/loss", losses);
  file_.append<double>("/curves/accuracy", accuracies);
}

void RunFile::append_boundaries(std::span<const std::uint32_t> updates) {
  file_.append<std::uint32_t>("/boundaries/detected", updates);
}

void RunFile::write_task(std::size_t task, const std::vector<ProjectionReport>& projections,
                         const TaskCosts& costs) {
  const auto write_column = [&](const char* object, auto member) {
    std::vector<double> row;
    for (const ProjectionReport& report : projections) row.push_back(report.*member);
    file_.write_rows<double>(object, task - 1, row);
  };
  std::vector<std::uint32_t> ranks;
  for (const ProjectionReport& report : projections) ranks.push_back(static_cast<std::uint32_t>(report.rank));
  file_.write_rows<std::uint32_t>("/subspace/rank", task - 1, ranks);
  write_column("/subspace/orthonormality_error", &ProjectionReport::orthonormality_error);
  write_column("/subspace/largest_eigenvalue", &ProjectionReport::largest_eigenvalue);
  write_column("/subspace/explained_energy", &ProjectionReport::explained_energy);
  write_column("/subspace/mean_angle", &ProjectionReport::mean_angle);
  write_column("/subspace/largest_angle", &ProjectionReport::largest_angle);
  write_column("/subspace/leak", &ProjectionReport::leak);
  write_column("/subspace/effective_rank", &ProjectionReport::effective_rank);
  write_column("/subspace/memory", &ProjectionReport::memory);

  const auto write = [&](const char* object, double value) {
    file_.write_rows<double>(object, task - 1, std::span(&value, 1));
  };
  file_.write_rows<double>("/costs/seconds", task - 1, costs.seconds);
  file_.write_rows<std::uint32_t>("/costs/training_batches", task - 1, std::span(&costs.training_batches, 1));
  file_.write_rows<std::uint64_t>("/costs/training_samples", task - 1, std::span(&costs.training_samples, 1));
  write("/costs/multiply_adds", costs.multiply_adds);
  write("/costs/spikes", costs.spikes);
  write("/costs/synaptic_operations", costs.synaptic_operations);
  write("/costs/peak_memory", peak_memory_bytes());
  const auto done = static_cast<std::uint32_t>(task);
  file_.write_rows<std::uint32_t>("/progress/tasks_done", 0, std::span(&done, 1));
  file_.flush();
}

void RunFile::finish() {
  file_.close();
  std::error_code error;
  std::filesystem::rename(folder_ / partial_name, final_path(), error);
  if (error) throw EnvironmentError(fmt::format("{}: {}", final_path().string(), error.message()));
  // The new name survives a power cut only once the folder is on the disk too.
  const int descriptor = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor >= 0) {
    ::fsync(descriptor);
    ::close(descriptor);
  }
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

  RunRecord record{.finished = false,
                   .config = file.read_text("/config"),
                   .origin = {.version = file.text_attribute("/", "version"),
                              .git_revision = file.text_attribute("/", "git_revision"),
                              .device = file.text_attribute("/", "device"),
                              .seed = file.integer_attribute("/", "seed"),
                              .threads = file.integer_attribute("/", "threads")},
                   .started = file.text_attribute("/", "started"),
                   .projections = file.texts_attribute("/subspace/rank", "projections"),
                   .tasks_done = read("/progress/tasks_done", 1, std::uint32_t{})[0],
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
  const std::vector<double> accuracy = read("/metrics/accuracy", (T + 1) * T, double{});
  for (std::size_t i = 0; i <= T; ++i) {
    for (std::size_t j = 1; j <= T; ++j) record.accuracy.at(i, j) = accuracy[i * T + j - 1];
  }

  const auto ranks = read("/subspace/rank", T * P, std::uint32_t{});
  const auto orthonormality = read("/subspace/orthonormality_error", T * P, double{});
  const auto energy = read("/subspace/explained_energy", T * P, double{});
  const auto mean_angle = read("/subspace/mean_angle", T * P, double{});
  const auto largest_angle = read("/subspace/largest_angle", T * P, double{});
  const auto leak = read("/subspace/leak", T * P, double{});
  // Files of earlier versions lack them.
  const auto read_if_present = [&](const std::string& object) {
    return file.exists(object) ? read(object, T * P, double{}) : std::vector<double>(T * P, not_measured);
  };
  const auto largest_eigenvalue = read_if_present("/subspace/largest_eigenvalue");
  const auto effective_rank = read_if_present("/subspace/effective_rank");
  const auto memory = read_if_present("/subspace/memory");
  if (file.exists("/boundaries/detected"))
    record.detected_boundaries = file.read<std::uint32_t>("/boundaries/detected");
  const auto seconds = read("/costs/seconds", T * phase_names.size(), double{});
  const auto batches = read("/costs/training_batches", T, std::uint32_t{});
  const auto samples = read("/costs/training_samples", T, std::uint64_t{});
  const auto multiply_adds = read("/costs/multiply_adds", T, double{});
  const auto spikes = read("/costs/spikes", T, double{});
  const auto synaptic_operations = read("/costs/synaptic_operations", T, double{});
  const auto peak_memory = read("/costs/peak_memory", T, double{});
  for (std::size_t k = 0; k < record.tasks_done; ++k) {
    std::vector<ProjectionReport>& reports = record.reports.emplace_back();
    for (std::size_t at = k * P; at < (k + 1) * P; ++at) {
      reports.push_back({.rank = ranks[at],
                         .orthonormality_error = orthonormality[at],
                         .largest_eigenvalue = largest_eigenvalue[at],
                         .explained_energy = energy[at],
                         .mean_angle = mean_angle[at],
                         .largest_angle = largest_angle[at],
                         .leak = leak[at],
                         .effective_rank = effective_rank[at],
                         .memory = memory[at]});
    }
    TaskCosts& costs = record.costs.emplace_back(TaskCosts{.seconds = {},
                                                           .training_batches = batches[k],
                                                           .training_samples = samples[k],
                                                           .multiply_adds = multiply_adds[k],
                                                           .spikes = spikes[k],
                                                           .synaptic_operations = synaptic_operations[k]});
    if (costs.training_batches == 0) continue;
    std::copy_n(seconds.begin() + static_cast<std::ptrdiff_t>(k * phase_names.size()), phase_names.size(),
                costs.seconds.begin());
    record.peak_memory = std::max(record.peak_memory, peak_memory[k]);
  }
  return record;
}

}  // namespace orthospike
