#include "app/sweep.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "app/commands.hpp"
#include "kernels/error.hpp"

namespace orthospike {

namespace {

/// Reads the words one after the other.
class Words {
 public:
  Words(std::string verb, const std::vector<std::string>& words) : verb_(std::move(verb)), words_(words) {}

  SweepArguments arguments() {
    SweepArguments result;
    while (next_ < words_.size()) {
      const std::string& word = words_[next_++];
      if (word == "--" && verb_ == "slurm") {
        result.sbatch_options.assign(words_.begin() + static_cast<std::ptrdiff_t>(next_), words_.end());
        next_ = words_.size();
      } else if (is_option(word, "--out")) {
        result.out = value(word);
      } else if (verb_ == "run" && is_option(word, "--jobs")) {
        result.jobs = integer(word, 1024);
      } else if (verb_ == "run" && is_option(word, "--point")) {
        result.point = integer(word, Sweep::most_points) - 1;
      } else if (verb_ == "slurm" && is_option(word, "--at-most")) {
        result.at_most = integer(word, Sweep::most_points);
      } else if (verb_ == "slurm" && word == "--dry-run") {
        result.dry_run = true;
      } else if (word.starts_with("-") || !result.file.empty()) {
        throw ConfigError(
            fmt::format("sweep {}: unexpected word '{}'; 'orthospike --help' shows the usage", verb_, word));
      } else {
        result.file = word;
      }
    }
    if (result.file.empty())
      throw ConfigError(
          fmt::format("sweep {0}: a sweep file is missing; usage: orthospike sweep {0} FILE", verb_));
    return result;
  }

 private:
  static bool is_option(const std::string& word, const std::string& name) {
    return word == name || word.starts_with(name + "=");
  }

  /// After '=' or in the next word.
  std::string value(const std::string& word) {
    const std::size_t equals = word.find('=');
    const std::string value = equals != std::string::npos ? word.substr(equals + 1)
                              : next_ < words_.size()     ? words_[next_++]
                                                          : "";
    if (value.empty())
      throw ConfigError(fmt::format("sweep {}: option {} needs a value", verb_, word.substr(0, equals)));
    return value;
  }

  std::size_t integer(const std::string& word, std::size_t most) {
    const std::string text = value(word);
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < 1 || number > most) {
      throw ConfigError(
          fmt::format("{}: '{}' is not an integer from 1 to {}", word.substr(0, word.find('=')), text, most));
    }
    return number;
  }

  std::string verb_;
  const std::vector<std::string>& words_;
  std::size_t next_ = 1;  ///< the first is the verb
};

}  // namespace

int sweep_command(const std::vector<std::string>& words) {
  const std::string verb = words.empty() ? "" : words.front();
  const std::vector<std::string> verbs = {"plan", "run", "slurm", "status", "collect"};
  if (std::ranges::find(verbs, verb) == verbs.end())
    throw ConfigError(fmt::format("sweep: expected one of {}, then a sweep file", fmt::join(verbs, ", ")));
  const SweepArguments arguments = Words(verb, words).arguments();
  Sweep sweep = read_sweep(arguments.file);
  if (!arguments.out.empty()) sweep.out = arguments.out;
  if (verb == "plan") return sweep_plan(sweep);
  if (verb == "run") return sweep_run(sweep, arguments);
  if (verb == "slurm") return sweep_slurm(sweep, arguments);
  return verb == "status" ? sweep_status(sweep) : sweep_collect(sweep);
}

std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const std::vector<std::string>& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const std::vector<std::string>& row : rows) {
    std::string line;
    for (std::size_t i = 0; i + 1 < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    line += row.back();
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string duration(double seconds) {
  if (seconds < 100) return fmt::format("{:.1f} s", seconds);
  return seconds < 6000 ? fmt::format("{:.0f} min", seconds / 60) : fmt::format("{:.1f} h", seconds / 3600);
}

}  // namespace orthospike
