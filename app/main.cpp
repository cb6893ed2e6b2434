#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <new>
#include <system_error>

#include "app/commands.hpp"
#include "app/print_error.hpp"
#include "kernels/error.hpp"
#include "learning/config.hpp"
#include "learning/version.hpp"

namespace {

using Command = std::function<int(const std::vector<std::string>&)>;

enum ExitCode { done = 0, failed = 1, bad_usage = 2 };

int dispatch(std::vector<std::string> words) {
  const std::map<std::string, Command> commands = {
      {"run", orthospike::run_command},           {"test", orthospike::test_command},
      {"record", orthospike::record_command},     {"inspect", orthospike::inspect_command},
      {"report", orthospike::report_command},     {"export", orthospike::export_command},
      {"import", orthospike::import_command},     {"sweep", orthospike::sweep_command},
      {"simulate", orthospike::simulate_command}, {"help", orthospike::help_command}};
  if (words.empty()) {
    throw orthospike::ConfigError("a command is missing; 'orthospike --help' lists them");
  }
  const std::string name = words.front();
  words.erase(words.begin());
  if (name == "--version") {
    fmt::print("orthospike {} ({})\n", orthospike::version, orthospike::git_revision);
    return done;
  }
  const auto asks_for_help = [](const std::string& word) { return word == "--help" || word == "-h"; };
  if (asks_for_help(name) || std::ranges::any_of(words, asks_for_help)) return orthospike::help_command({});
  const auto found = commands.find(name);
  if (found == commands.end()) {
    std::vector<std::string> names;
    for (const auto& command : commands) names.push_back(command.first);
    const std::string nearest = orthospike::nearest_name(name, names);
    throw orthospike::ConfigError(fmt::format("unknown command '{}'; {}", name,
                                              nearest.empty()
                                                  ? "'orthospike --help' lists the known ones"
                                                  : fmt::format("the nearest known one is '{}'", nearest)));
  }
  return found->second(words);
}

int report(const std::string& sentence, ExitCode code) {
  orthospike::print_error(sentence);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const int code = dispatch({argv + 1, argv + argc});
    // Of a run whose output nobody takes any more, the code says that it can go on.
    if (std::fflush(stdout) != 0 && code == done) throw std::system_error(errno, std::generic_category());
    return code;
  } catch (const orthospike::ConfigError& error) {
    return report(error.what(), bad_usage);
  } catch (const std::filesystem::filesystem_error& error) {
    return report(error.what(), failed);
  } catch (const std::system_error& error) {  // of fmt::print
    return report(fmt::format("cannot write to the standard output: {}", error.code().message()), failed);
  } catch (const std::bad_alloc&) {
    return report("not enough memory", failed);
  } catch (const std::exception& error) {
    return report(error.what(), failed);
  }
}
