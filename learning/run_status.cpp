#include "learning/run_status.hpp"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "kernels/error.hpp"
#include "learning/checkpoint.hpp"
#include "learning/run_lock.hpp"

namespace orthospike {

namespace {

constexpr const char* error_name = "error.txt";

std::optional<RunRecord> readable_record(const std::filesystem::path& path) {
  try {
    return read_run_file(path);
  } catch (const EnvironmentError&) {  // as of a program that was killed
    return {};
  }
}

/// The text of a file without what ends its last line; nothing where there is no file.
std::optional<std::string> line_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) return {};
  std::string text(std::istreambuf_iterator<char>(file), {});
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

RunStatus run_status(const std::filesystem::path& folder) {
  const std::filesystem::path run_file = folder / RunFile::name, partial = folder / RunFile::partial_name;
  const std::string holder = RunLock::holder(folder);
  if (std::filesystem::exists(
          run_file)) {  // looked for after the lock: a run gives it back once the file is there
    try {
      return {.state = RunState::done, .note = "", .record = read_run_file(run_file)};
    } catch (const EnvironmentError& error) {
      return {.state = RunState::failed, .note = error.what(), .record = {}};
    }
  }
  RunStatus status{.state = RunState::missing, .note = "", .record = readable_record(partial)};
  if (!holder.empty()) {
    status.state = RunState::running;
    status.note = holder;
  } else if (const std::optional<std::string> sentence = line_of(folder / error_name)) {
    status.state = RunState::failed;
    status.note = *sentence;
  } else if (std::filesystem::exists(partial) || has_checkpoint(folder)) {
    status.state = RunState::interrupted;
    if (status.record)
      status.note = fmt::format("{} of {} tasks", status.record->tasks_done, status.record->accuracy.tasks());
  }
  return status;
}

void note_failure(const std::filesystem::path& folder, const std::string& sentence) {
  std::ofstream(folder / error_name) << sentence << "\n";
}

void forget_failure(const std::filesystem::path& folder) {
  std::error_code none;
  std::filesystem::remove(folder / error_name, none);
}

std::optional<std::filesystem::file_time_type> time_of_failure(const std::filesystem::path& folder) {
  std::error_code error;
  const std::filesystem::file_time_type time = std::filesystem::last_write_time(folder / error_name, error);
  if (error) return {};
  return time;
}

}  // namespace orthospike
