#include <fmt/format.h>

#include "app/commands.hpp"
#include "kernels/error.hpp"
#include "learning/config.hpp"

namespace orthospike {

namespace {

constexpr const char* usage = R"(orthospike: spiking networks that learn task after task without forgetting

Usage:
  orthospike run CONFIG [--out DIR] [--section.key=value ...]
      Trains the task sequence of the INI file CONFIG and writes DIR/run.h5 (default: runs/ and the config's name).
      The last line printed is JSON with the results. A finished run is not run again.
  orthospike inspect RUN [--joint JOINT_RUN]
      Prints what a run file, or the run file in folder RUN, holds; with a run of joint training also the
      intransigence: how much better joint training learned each task.
  orthospike help config
      Lists every config key.
  orthospike --version
  orthospike --help

Exit codes: 0 done, 1 failed, 2 bad usage or config.
)";

}  // namespace

int help_command(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    fmt::print("{}", usage);
    return 0;
  }
  if (arguments != std::vector<std::string>{"config"}) {
    throw ConfigError(fmt::format("help: unknown topic '{}'; expected config", arguments.front()));
  }
  fmt::print("Keys of a config file; each is also an option --section.key=value, which wins.\n");
  const Config defaults;
  for (const ConfigKey& key : config_keys()) {
    const std::string unit = key.unit == "-" ? "" : fmt::format(", unit: {}", key.unit);
    fmt::print("\n{}\n    {}{}; default: {}\n    {}\n", key.name, key.type, unit, key.get(defaults),
               key.meaning);
  }
  return 0;
}

}  // namespace orthospike
