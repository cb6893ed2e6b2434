#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <utility>

#include "app/accuracy_table.hpp"
#include "app/commands.hpp"
#include "app/json.hpp"
#include "app/print_error.hpp"
#include "kernels/cpu/instruction_set.hpp"
#include "kernels/error.hpp"
#include "learning/experiment.hpp"
#include "learning/run_lock.hpp"
#include "learning/run_status.hpp"

namespace orthospike {

namespace {

volatile std::sig_atomic_t stop_signal = 0;

/// From now on, these signals ask the run to write a checkpoint and end, as does an output that nobody takes any more
/// (SIGPIPE); a second interrupt from the keyboard ends it at once.
void stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = [](int signal) { stop_signal = signal; };
  for (const auto& [signal, flags] : {std::pair{SIGTERM, SA_RESTART},
                                      {SIGUSR1, SA_RESTART},
                                      {SIGPIPE, SA_RESTART},
                                      {SIGINT, SA_RESTART | SA_RESETHAND}}) {
    action.sa_flags = flags;
    sigaction(signal, &action, nullptr);
  }
}

/// To the standard output. Where that fails, the run goes on or ends with a checkpoint (stop_on_signals) all the same.
void show(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

/// What ranks but the first have: they are silent, but hear signals.
class Silent final : public ExperimentObserver {
 public:
  void warn(const std::string& /*sentence*/) override {}
  void begins(const std::vector<TaskDescription>& /*tasks*/) override {}
  void training(const TrainingReport& /*report*/) override {}
  void evaluated(const AccuracyMatrix& /*accuracy*/, std::size_t /*after*/) override {}
  bool wants_to_stop() override { return stop_signal != 0; }
};

/// Progress for people: a bar that moves on a terminal, a line now and then elsewhere.
class Console final : public ExperimentObserver {
 public:
  /// What mpirun gives its ranks looks like a terminal, wherever its own output goes.
  Console(const Communicator& ranks, std::filesystem::path folder)
      : folder_(std::move(folder)), terminal_(ranks.is_alone() && ::isatty(STDOUT_FILENO) == 1) {}

  void warn(const std::string& sentence) override { print_warning(sentence); }

  void begins(const std::vector<TaskDescription>& tasks) override {
    tasks_ = tasks;
    forget_failure(folder_);  // not before: a command that is refused leaves the folder as it was
  }

  void training(const TrainingReport& report) override {
    const auto& [task, pass, unit, done, all, loss, accuracy] = report;
    const std::string state = fmt::format("task {}/{}  {}  {} {}/{}  loss {:.4f}  accuracy {:.2f} %", task,
                                          tasks_.size(), pass, unit, done, all, loss, 100.0 * accuracy);
    if (terminal_) {
      constexpr std::size_t width = 24;
      const std::size_t filled = width * done / all;
      show(fmt::format("\r[{:#<{}}{:.<{}}] {}\x1b[K{}", "", filled, "", width - filled, state,
                       done == all ? "\n" : ""));
      return;
    }
    const auto now = std::chrono::steady_clock::now();
    if (done == all || now - last_line_ > std::chrono::seconds(10)) {
      show(state + "\n");
      last_line_ = now;
    }
  }

  void goes_on(const std::string& sentence) override { show(sentence + "\n"); }

  bool wants_to_stop() override { return stop_signal != 0; }

  void evaluated(const AccuracyMatrix& accuracy, std::size_t after) override {
    if (after > 0) show(fmt::format("\n{}\n", accuracy_table(accuracy, tasks_, after)));
  }

 private:
  std::filesystem::path folder_;
  std::vector<TaskDescription> tasks_;
  bool terminal_;
  std::chrono::steady_clock::time_point last_line_ = std::chrono::steady_clock::now();
};

void print_summary(const RunRecord& record, const std::filesystem::path& run_file) {
  const std::size_t tasks = record.accuracy.tasks();
  fmt::print(R"({{"acc": {}, "bwt": {}, "forgetting": {}, "seconds": {}, "train_samples_per_second": {}, )"
             R"("run_file": {}}})"
             "\n",
             json_number(record.accuracy.average_accuracy(tasks)),
             json_number(record.accuracy.backward_transfer(tasks)),
             json_number(record.accuracy.mean_forgetting(tasks)), json_number(record.seconds()),
             json_number(record.training_samples_per_second()), json_text(run_file.string()));
}

struct Arguments {
  std::filesystem::path config_file;
  std::filesystem::path out;
  bool restart = false;
  std::vector<std::string> settings;  ///< --section.key=value
};

Arguments parse(const std::vector<std::string>& words) {
  Arguments arguments;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--out") {
      if (i + 1 == words.size()) throw ConfigError("run: option --out needs a folder");
      arguments.out = words[++i];
    } else if (word.starts_with("--out=")) {
      arguments.out = word.substr(6);
    } else if (word == "--restart") {
      arguments.restart = true;
    } else if (word.starts_with("-") || !arguments.config_file.empty()) {
      arguments.settings.push_back(word);
    } else {
      arguments.config_file = word;
    }
  }
  if (arguments.config_file.empty())
    throw ConfigError("run: a config file is missing; usage: orthospike run CONFIG");
  if (arguments.out.empty()) arguments.out = std::filesystem::path("runs") / arguments.config_file.stem();
  return arguments;
}

/// Whether the run is there; then says so. Throws ConfigError where it is one of another config.
bool is_finished(const Config& config, const std::filesystem::path& run_file) {
  if (!std::filesystem::exists(run_file)) return false;
  const RunRecord record = read_run_file(run_file);
  const std::string found = differences(values_by_key(record.config, run_file.string() + "/config"), config);
  if (!found.empty()) {
    throw ConfigError(
        fmt::format("--out: {} holds a finished run of another config: {}; give another folder, or "
                    "--restart to replace it",
                    run_file.string(), found));
  }
  tidy_finished_run(run_file.parent_path());
  fmt::print("{} is finished already; nothing to do\n", run_file.string());
  print_summary(record, run_file);
  return true;
}

/// The work of a rank that is not the first, once it has read what it trains on.
int take_part(const Config& config, const std::vector<ImageData>& data, const std::filesystem::path& folder,
              Communicator& ranks) {
  if (ranks.any(false)) return 0;  // the first one has the folder by now
  Silent silent;
  try {
    run_experiment(config, data, folder, silent, ranks);
  } catch (const Interrupted&) {
    return interrupted_exit_code;
  } catch (const ConfigError& error) {
    throw ConfigError(with_place(config, error.what()));
  }
  return 0;
}

void print_sums(const Communicator& ranks, const RunRecord& record) {
  if (ranks.is_alone()) return;
  double batches = 0;
  for (const TaskCosts& costs : record.costs) batches += costs.training_batches;
  fmt::print("{} ranks: each sent {:.4g} MB a batch and summed for {:.1f} s since it was started\n",
             ranks.size(), 1e-6 * ranks.bytes_sent() / batches, ranks.seconds());
}

}  // namespace

int run_command(const std::vector<std::string>& words) {
  const std::unique_ptr<Communicator> ranks = make_communicator();
  const Arguments arguments = parse(words);
  const Config config = read_config(arguments.config_file, arguments.settings);

  const std::filesystem::path run_file = arguments.out / RunFile::name;
  if (ranks->any(ranks->is_first() && !arguments.restart && is_finished(config, run_file))) return 0;
  stop_on_signals();

  const std::vector<ImageData> data = read_data_sets(config.data);
  if (!ranks->is_first()) return take_part(config, data, arguments.out, *ranks);
  std::error_code error;
  std::filesystem::create_directories(arguments.out, error);
  if (error)
    throw EnvironmentError(
        fmt::format("{}: cannot make the folder: {}", arguments.out.string(), error.message()));
  const RunLock lock(arguments.out);
  if (arguments.restart) remove_run(arguments.out);
  if (ranks->any(is_finished(config, run_file))) return 0;  // by another program meanwhile
  Console console(*ranks, arguments.out);
  for (const std::string& sentence : slow_libraries()) console.warn(sentence);
  try {
    const RunRecord record = run_experiment(config, data, arguments.out, console, *ranks);
    print_sums(*ranks, record);
    print_summary(record, run_file);
  } catch (const Interrupted& interrupted) {
    print_error(fmt::format("interrupted {} (signal {}); the same command goes on from there",
                            interrupted.what(), static_cast<int>(stop_signal)));
    return interrupted_exit_code;
  } catch (const ConfigError& error) {
    const std::string sentence = with_place(config, error.what());
    // Else the interrupted run there is not this one, which was refused.
    if (!has_checkpoint(arguments.out)) note_failure(arguments.out, sentence);
    throw ConfigError(sentence);
  } catch (const std::exception& error) {
    note_failure(arguments.out, error.what());
    throw;
  }
  return 0;
}

}  // namespace orthospike
