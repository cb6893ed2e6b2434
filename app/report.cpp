#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "app/commands.hpp"
#include "kernels/error.hpp"

namespace orthospike {

namespace {

/// `python -m orthospike report`, with a sentence where the package is missing. A folder that happens to be named
/// orthospike where the command is given is not taken for the package.
constexpr const char* start = R"(import sys
sys.path[:] = filter(None, sys.path)
try:
    from orthospike.__main__ import main
except ModuleNotFoundError as error:
    sys.exit(f"orthospike: report is made by the Python package in analysis/, which {sys.executable} cannot load "
             f"({error}); '{sys.executable} -m pip install ./analysis' installs it, and ORTHOSPIKE_PYTHON names the "
             "interpreter that has it")
sys.exit(main(["report", *sys.argv[1:]]))
)";

}  // namespace

int report_command(const std::vector<std::string>& arguments) {
  if (arguments.empty())
    throw ConfigError("report: expected run or sweep folders; 'orthospike --help' shows the usage");
  const char* named = std::getenv("ORTHOSPIKE_PYTHON");
  std::vector<std::string> words = {named != nullptr && *named != '\0' ? named : "python3", "-c", start};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  execvp(pointers.front(), pointers.data());
  throw EnvironmentError(
      fmt::format("report: cannot start {}: {}; ORTHOSPIKE_PYTHON names the Python interpreter",
                  words.front(), std::strerror(errno)));
}

}  // namespace orthospike
