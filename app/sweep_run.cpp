#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <deque>
#include <fstream>
#include <iterator>
#include <map>
#include <system_error>

#include "app/accuracy_table.hpp"
#include "app/commands.hpp"
#include "app/json.hpp"
#include "app/sweep.hpp"
#include "kernels/cpu/processors.hpp"
#include "kernels/error.hpp"
#include "learning/run_lock.hpp"

namespace orthospike {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Signals that this program waits for instead of being interrupted by them.
class AwaitedSignals {
 public:
  AwaitedSignals() {
    ::signal(SIGCHLD, SIG_DFL);  // who started this may have it ignored, and children then vanish unseen
    sigemptyset(&awaited_);
    for (const int number : {SIGCHLD, SIGINT, SIGTERM, SIGUSR1}) sigaddset(&awaited_, number);
    struct sigaction hang_up {};
    sigaction(SIGHUP, nullptr, &hang_up);
    if (hang_up.sa_handler != SIG_IGN) sigaddset(&awaited_, SIGHUP);  // nohup has it ignored
    pthread_sigmask(SIG_BLOCK, &awaited_, &before_);
  }
  AwaitedSignals(const AwaitedSignals&) = delete;
  AwaitedSignals& operator=(const AwaitedSignals&) = delete;
  ~AwaitedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  /// Its number; 0 when none came in this time.
  int wait(std::chrono::milliseconds longest) const {
    const std::timespec time{.tv_sec = longest.count() / 1000, .tv_nsec = longest.count() % 1000 * 1000000};
    return std::max(0, sigtimedwait(&awaited_, nullptr, &time));
  }

  /// For children.
  const sigset_t& before() const { return before_; }

 private:
  sigset_t awaited_{}, before_{};
};

/// A point that runs.
struct Child {
  pid_t process = 0;
  std::size_t point = 0;
  Clock::time_point began;
  std::uintmax_t log_before = 0;  ///< length of its log, which earlier attempts wrote
};

/// The end of a file, at most some kilobytes, not before `first`.
std::string end_of(const std::filesystem::path& path, std::uintmax_t first) {
  constexpr std::uintmax_t most = 8192;
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) return "";
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(std::max(first, size > most ? size - most : 0)));
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The last line of a text that begins so; without what it begins with.
std::string last_line(const std::string& text, const std::string& begin) {
  std::string found;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (end > at && text.compare(at, begin.size(), begin) == 0)
      found = text.substr(at + begin.size(), end - at - begin.size());
    at = end + 1;
  }
  return found;
}

/// What a run says of itself, for the table.
std::string result_of(const RunRecord& record) {
  std::string text;
  for (const MatrixMeasure& measure : matrix_measures()) {
    const double value = (record.accuracy.*measure.value)(record.accuracy.tasks());
    if (measure.name == std::string("average_accuracy") || measure.name == std::string("backward_transfer"))
      text += fmt::format("{} {} %, ", measure.label, percent(value));
  }
  return text + duration(record.seconds());
}

/// Lines that stay, a line each time that a point changes its state; on a terminal, below them, lines about the points
/// that run, drawn anew in place.
class LiveTable {
 public:
  void say(const std::string& line) {
    erase();
    fmt::print("{}\n", line);
    std::fflush(stdout);
  }

  void draw(const std::vector<std::string>& lines) {
    if (!terminal_) return;
    erase();
    winsize size{};
    const std::size_t width =
        ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1U : 79;
    for (const std::string& line : lines) fmt::print("{}\n", line.substr(0, width));
    drawn_ = lines.size();
    std::fflush(stdout);
  }

  bool terminal() const { return terminal_; }

 private:
  void erase() {
    if (drawn_ > 0) fmt::print("\x1b[{}A\r\x1b[J", drawn_);
    drawn_ = 0;
  }

  bool terminal_ = ::isatty(STDOUT_FILENO) == 1;
  std::size_t drawn_ = 0;  ///< lines below those that stay
};

/// Runs points of a sweep, each in a process of its own.
class LocalSweep {
 public:
  LocalSweep(const Sweep& sweep, const SweepArguments& arguments) : sweep_(sweep), jobs_(arguments.jobs) {
    if (arguments.point && *arguments.point >= sweep.points.size()) {
      throw ConfigError(fmt::format("--point: the sweep has {} points, no point {}", sweep.points.size(),
                                    *arguments.point + 1));
    }
    const std::size_t first = arguments.point.value_or(0);
    const std::size_t end = arguments.point ? first + 1 : sweep.points.size();
    // Before anything runs: each point must be right, and its folder free of other runs.
    for (std::size_t i = first; i < end; ++i) static_cast<void>(config_of(sweep, sweep.points[i]));
    for (std::size_t i = first; i < end; ++i) {
      if (status_of(sweep, sweep.points[i]).state == RunState::done) {
        ++counts_[RunState::done];
      } else {
        pending_.push_back(i);
      }
    }
    points_ = end - first;
  }
  LocalSweep(const LocalSweep&) = delete;
  LocalSweep& operator=(const LocalSweep&) = delete;
  /// With children only after an error, such as a standard output that is closed.
  ~LocalSweep() {
    send_to_children(SIGTERM);
    for (const Child& child : children_) waitpid(child.process, nullptr, 0);
  }

  int run() {
    if (counts_[RunState::done] > 0)
      table_.say(fmt::format("{} of {} points are done already", counts_[RunState::done], points_));
    while (true) {
      start_points();
      if (children_.empty()) break;
      draw();
      const int number = signals_.wait(std::chrono::milliseconds(table_.terminal() ? 500 : 60000));
      if (number != 0 && number != SIGCHLD) stop(number);
      reap();
    }
    return end();
  }

 private:
  const SweepPoint& point(std::size_t i) const { return sweep_.points[i]; }
  std::filesystem::path log_of(std::size_t i) const { return sweep_.folder(point(i)) / "log.txt"; }

  void start_points() {
    while (!stopped_ && children_.size() < jobs_) {
      const std::optional<std::size_t> next = take_next();
      if (!next) break;
      start(*next);
    }
  }

  /// Of the points that are left the first that no other program runs, has done or has just failed at.
  std::optional<std::size_t> take_next() {
    for (auto at = pending_.begin(); at != pending_.end();) {
      const std::size_t i = *at;
      const RunStatus status = run_status(sweep_.folder(point(i)));
      if (status.state == RunState::running) {
        ++at;
        continue;
      }
      at = pending_.erase(at);
      const bool failed_elsewhere = status.state == RunState::failed &&
                                    time_of_failure(sweep_.folder(point(i))).value_or(began_) > began_;
      if (status.state != RunState::done && !failed_elsewhere) return i;
      count(status.state, i, status.state == RunState::done ? "by another program" : status.note);
    }
    return {};
  }

  void start(std::size_t i) {
    const std::filesystem::path folder = sweep_.folder(point(i)), log = log_of(i);
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error)
      throw EnvironmentError(fmt::format("{}: cannot make the folder: {}", folder.string(), error.message()));
    std::vector<std::string> words = {"orthospike", "run", sweep_.config.string(),
                                      "--out=" + folder.string()};
    for (std::string& option : options_of(sweep_, point(i))) words.push_back(std::move(option));
    // By default each would take all processors.
    if (jobs_ > 1 && config_of(sweep_, point(i)).run.threads == 0)
      words.push_back(
          fmt::format("--run.threads={}", std::max(1, usable_processors() / static_cast<int>(jobs_))));

    Child child{.process = 0, .point = i, .began = Clock::now(), .log_before = 0};
    const std::uintmax_t length = std::filesystem::file_size(log, error);
    if (!error) child.log_before = length;
    child.process = spawn(words, log);
    children_.push_back(child);
    if (!table_.terminal()) table_.say(fmt::format("started      {}", point(i).name));
  }

  /// In a process group of its own, so that a terminal's Ctrl-C reaches it once, from here, and a closed terminal not
  /// at all.
  pid_t spawn(std::vector<std::string>& words, const std::filesystem::path& log) const {
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &signals_.before());
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    pid_t process = 0;
    const int error = posix_spawn(&process, "/proc/self/exe", &files, &attributes, pointers.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (error != 0) {
      throw EnvironmentError(fmt::format("{}: the point cannot be started: {}", log.string(),
                                         std::generic_category().message(error)));
    }
    return process;
  }

  void stop(int number) {
    if (!stopped_) {
      table_.say(fmt::format("{}: no point is started any more; {} finish their batch and write a checkpoint",
                             strsignal(number), children_.size()));
    }
    stopped_ = true;
    send_to_children(number == SIGHUP ? SIGTERM : number);
  }

  void send_to_children(int number) const {
    for (const Child& child : children_) kill(child.process, number);
  }

  void reap() {
    for (auto child = children_.begin(); child != children_.end();) {
      int status = 0;
      if (waitpid(child->process, &status, WNOHANG) == 0) {
        ++child;
        continue;
      }
      const Child ended = *child;
      child = children_.erase(child);
      judge(ended, status);
    }
  }

  void judge(const Child& child, int exit_status) {
    const std::filesystem::path folder = sweep_.folder(point(child.point));
    const RunStatus status = run_status(folder);
    if (WIFEXITED(exit_status) && WEXITSTATUS(exit_status) == interrupted_exit_code) {
      count(RunState::interrupted, child.point, status.note);
    } else if (status.state == RunState::done) {
      seconds_ += seconds_since(child.began);
      ++ran_;
      count(RunState::done, child.point, result_of(*status.record));
    } else if (WIFSIGNALED(exit_status) && stopped_) {
      count(RunState::interrupted, child.point, status.note);
    } else if (status.state == RunState::running) {  // another program was first
      pending_.push_back(child.point);
    } else {
      std::string sentence = status.note;
      if (status.state != RunState::failed) {
        sentence = WIFSIGNALED(exit_status)
                       ? fmt::format("the process was ended by signal {} ({})", WTERMSIG(exit_status),
                                     strsignal(WTERMSIG(exit_status)))
                       : last_line(end_of(log_of(child.point), child.log_before), "orthospike: ");
        note(child.point, sentence);
      }
      if (first_failure_.empty()) first_failure_ = fmt::format("{}: {}", point(child.point).name, sentence);
      count(RunState::failed, child.point, sentence);
    }
  }

  /// For `status`, where the run itself could not say it.
  void note(std::size_t i, const std::string& sentence) const {
    try {
      const RunLock lock(sweep_.folder(point(i)));
      note_failure(sweep_.folder(point(i)), sentence);
    } catch (const EnvironmentError&) {  // another program runs it now
    }
  }

  void count(RunState state, std::size_t i, const std::string& what) {
    ++counts_[state];
    table_.say(fmt::format("{:<12} {}{}{}", words(state), point(i).name, what.empty() ? "" : "  ", what));
  }

  void draw() {
    if (!table_.terminal()) return;
    std::vector<std::string> lines;
    for (const Child& child : children_) {
      lines.push_back(fmt::format("running      {}  {:.0f} s  {}", point(child.point).name,
                                  seconds_since(child.began),
                                  last_line(end_of(log_of(child.point), child.log_before), "")));
    }
    std::string time;
    if (ran_ > 0) {
      const auto left = static_cast<double>(pending_.size() + children_.size());
      time = ", about " + duration(left * seconds_ / static_cast<double>(ran_ * jobs_)) + " left";
    }
    lines.push_back(fmt::format("{} of {} done, {} failed, {} wait{}", counts_[RunState::done], points_,
                                counts_[RunState::failed], pending_.size(), time));
    table_.draw(lines);
  }

  int end() {
    bool is_stopped = false;
    for (const std::size_t i : pending_) {
      const RunState state = run_status(sweep_.folder(point(i))).state;
      ++counts_[state];
      is_stopped = is_stopped || (stopped_ && state == RunState::failed);  // it was to be tried again
    }
    const std::size_t running = counts_[RunState::running], missing = counts_[RunState::missing];
    const bool is_interrupted = is_stopped || counts_[RunState::interrupted] > 0 || missing > 0;
    std::string sentence = fmt::format("{} of {} points done", counts_[RunState::done], points_);
    if (running > 0) sentence += fmt::format(", {} run elsewhere", running);
    if (counts_[RunState::failed] > 0) sentence += fmt::format(", {} failed", counts_[RunState::failed]);
    if (is_interrupted) {
      sentence += fmt::format(", {} interrupted and {} not begun; the same command goes on",
                              counts_[RunState::interrupted], missing);
    }
    table_.say(sentence);
    fmt::print(
        R"({{"points": {}, "done": {}, "running": {}, "interrupted": {}, "failed": {}, "missing": {}, "folder": {}}})"
        "\n",
        points_, counts_[RunState::done], running, counts_[RunState::interrupted], counts_[RunState::failed],
        missing, json_text(sweep_.out.string()));
    if (is_interrupted) return interrupted_exit_code;
    if (counts_[RunState::failed] == 0) return 0;
    std::fflush(stdout);
    throw EnvironmentError(
        fmt::format("{} of {} points failed{}", counts_[RunState::failed], points_,
                    first_failure_.empty() ? "" : fmt::format("; the first, {}", first_failure_)));
  }

  const Sweep& sweep_;
  std::size_t jobs_, points_ = 0;
  AwaitedSignals signals_;
  LiveTable table_;
  std::deque<std::size_t> pending_;  ///< points that neither run here nor are done
  std::vector<Child> children_;
  std::map<RunState, std::size_t> counts_;
  std::filesystem::file_time_type began_ = std::filesystem::file_time_type::clock::now();
  bool stopped_ = false;
  double seconds_ = 0;  ///< of the points that ran here
  std::size_t ran_ = 0;
  std::string first_failure_;
};

}  // namespace

int sweep_run(const Sweep& sweep, const SweepArguments& arguments) {
  return LocalSweep(sweep, arguments).run();
}

}  // namespace orthospike
