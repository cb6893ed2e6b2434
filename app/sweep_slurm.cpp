#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/algorithm/string.hpp>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <system_error>

#include "app/json.hpp"
#include "app/sweep.hpp"
#include "kernels/error.hpp"
#include "sim/final_name.hpp"

namespace orthospike {

namespace {

/// One word of a shell.
std::string quoted(const std::string& text) {
  return fmt::format("'{}'", boost::replace_all_copy(text, "'", R"('\'')"));
}

/// "1,3-5": points counted from 1, of those counted from 0.
std::string array_of(const std::vector<std::size_t>& points) {
  std::string text;
  for (std::size_t i = 0; i < points.size();) {
    std::size_t last = i;
    while (last + 1 < points.size() && points[last + 1] == points[last] + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", points[i] + 1);
    if (last > i) text += fmt::format("-{}", points[last] + 1);
    i = last + 1;
  }
  return text;
}

constexpr const char* script_format = R"(#!/bin/bash
# A job array of the sweep {file}: element N runs point N.
# Submitted with: {command}
#SBATCH --job-name={name}
#SBATCH --array={array}
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output="{out}/slurm-%A_%a.log"

# USR1 comes before the time limit. The point then writes its checkpoint and exits with 75; this element goes back to
# the queue and resumes when it is its turn again. After TERM, as of scancel, only Slurm itself may requeue it.
child=
time_is_up=
trap 'signalled=yes; time_is_up=yes; [ -z "$child" ] || kill -s USR1 "$child"' USR1
trap 'signalled=yes; [ -z "$child" ] || kill -s TERM "$child"' TERM
{program} sweep run {quoted_file} --out {quoted_out} --point "$SLURM_ARRAY_TASK_ID" &
child=$!
signalled=yes
while [ -n "$signalled" ]; do # which ends a wait, too
  signalled=
  wait "$child"
  code=$?
done
if [ "$code" -eq 75 ] && [ -n "$time_is_up" ]; then
  exec scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$code"
)";

void write_script(const std::filesystem::path& path, const std::string& text) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) {
    throw EnvironmentError(
        fmt::format("{}: cannot make the folder: {}", path.parent_path().string(), error.message()));
  }
  const std::filesystem::path partial = path.string() + ".partial";
  std::ofstream stream(partial);
  stream << text;
  stream.close();
  if (!stream) throw EnvironmentError(fmt::format("{}: cannot be written", partial.string()));
  give_final_name(partial, path);
}

void submit(std::vector<std::string> words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  std::fflush(stdout);
  pid_t process = 0;
  const int error = posix_spawnp(&process, pointers[0], nullptr, nullptr, pointers.data(), environ);
  if (error != 0) {
    throw EnvironmentError(fmt::format("sbatch cannot be started ({}); --dry-run only prints the script",
                                       std::generic_category().message(error)));
  }
  int status = 0;
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw EnvironmentError("sbatch did not take the job array; it says why above");
}

}  // namespace

int sweep_slurm(const Sweep& sweep, const SweepArguments& arguments) {
  std::vector<std::size_t> points;
  for (std::size_t i = 0; i < sweep.points.size(); ++i) {
    static_cast<void>(config_of(sweep, sweep.points[i]));  // each must be right before any runs
    const RunState state = status_of(sweep, sweep.points[i]).state;
    if (state != RunState::done && state != RunState::running) points.push_back(i);
  }
  const std::filesystem::path out = std::filesystem::absolute(sweep.out), script = out / "sweep.sbatch";
  if (points.empty()) {
    fmt::print("no point is left to run\n");
  } else {
    std::vector<std::string> words = {"sbatch"};
    words.insert(words.end(), arguments.sbatch_options.begin(), arguments.sbatch_options.end());
    words.push_back(script.string());
    std::vector<std::string> quoted_words;
    for (const std::string& word : words) quoted_words.push_back(quoted(word));
    const std::string limit = arguments.at_most == 0 ? "" : fmt::format("%{}", arguments.at_most);
    const std::filesystem::path file = std::filesystem::absolute(sweep.file).lexically_normal();
    const std::string text = fmt::format(
        script_format, fmt::arg("file", file.string()), fmt::arg("command", fmt::join(quoted_words, " ")),
        fmt::arg("name", quoted(file.stem().string())), fmt::arg("array", array_of(points) + limit),
        fmt::arg("out", out.string()),
        fmt::arg("program", quoted(std::filesystem::read_symlink("/proc/self/exe").string())),
        fmt::arg("quoted_file", quoted(file.string())), fmt::arg("quoted_out", quoted(out.string())));
    if (arguments.dry_run) {
      fmt::print("{}", text);
      return 0;
    }
    write_script(script, text);
    submit(words);
  }
  fmt::print(R"({{"points": {}, "submitted": {}, "script": {}}})"
             "\n",
             sweep.points.size(), points.size(), points.empty() ? "null" : json_text(script.string()));
  return 0;
}

}  // namespace orthospike
