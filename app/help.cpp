#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "app/commands.hpp"
#include "kernels/error.hpp"
#include "learning/config.hpp"
#include "learning/sweep.hpp"
#include "sim/simulation/simulation_config.hpp"

namespace orthospike {

namespace {

constexpr const char* usage = R"(orthospike: spiking networks that learn task after task without forgetting

Usage:
  orthospike run CONFIG [--out DIR] [--restart] [--section.key=value ...]
      Trains the task sequence of the INI file CONFIG and writes DIR/run.h5 (default: runs/ and the config's name).
      The last line printed is JSON with the results. A run that was interrupted goes on from its last checkpoint, which
      SIGTERM, SIGINT and SIGUSR1 have it write; a finished run is not run again. --restart begins anew.
      With mpirun -n K before it, K of it train together, each on its part of every batch.
  orthospike test RUN [--task K,...] [--predictions FILE.csv or FILE.h5] [--section.key=value ...]
      Shows the network of a run, or of a weights file, the run's test samples, or those of other data or tasks that
      keys of data, tasks and sequences give; prints accuracies and confusion matrices, the last line as JSON.
  orthospike record RUN [--out DIR] [--record.key=value ...] [--section.key=value ...]
      Shows it the same and records spikes, potentials and more, as the keys of section record say, into DIR (default:
      the run's folder).
  orthospike inspect RUN [--joint JOINT_RUN]
      Prints what a run file, or the run file in folder RUN, holds, and what was recorded; with a run of joint training also the
      intransigence: how much better joint training learned each task.
  orthospike report RUN [RUN ...] [--out FILE.html]
      Writes one page with pictures and tables of runs, also of those that still go on, and of collected sweeps
      (default: report.html). It is made by the Python package in analysis/, with the interpreter that the environment
      variable ORTHOSPIKE_PYTHON names (default: python3).
  orthospike export RUN --nir FILE
      Writes the trained network of a run, or of a weights file, as a NIR graph, which other simulators read.
  orthospike import FILE [--out DIR] [--section.key=value ...]
      Makes a config and weights of the NIR graph FILE: DIR/config.ini and DIR/weights.h5 (default: runs/ and the name of
      FILE), which test takes, and run with --network.weights. Keys say what the graph does not.
  orthospike simulate CONFIG [--section.key=value ...]
      Simulates the network of populations and sparse projections with delays that the INI file CONFIG describes, and
      prints how its populations fire; the last line is JSON.
  orthospike sweep plan|run|status|collect FILE [--out DIR]
      Runs a base config with varied keys, as the INI file FILE says: plan lists the points and estimates the time; run
      runs those that are not done, [--jobs N] at the same time or only [--point N]; status tells how far each is;
      collect writes a table of what they gave and names the best setting. Each run has its folder in DIR (default:
      runs/ and the name of FILE); the same command goes on where it was interrupted.
  orthospike sweep slurm FILE [--out DIR] [--at-most K] [--dry-run] [-- SBATCH_OPTION ...]
      Submits a job array whose elements run a point each, at most K at the same time.
  orthospike help sweep
      Lists the keys of section sweep of a sweep file.
  orthospike help simulate
      Lists the keys of a config for simulate.
  orthospike help config [SECTION or NAME]
      Lists every config key, or those of one section or of one part, such as hlop or bptt.
  orthospike --version
  orthospike --help

Exit codes: 0 done, 1 failed, 2 bad usage or config, 75 interrupted: the same command goes on.
)";

std::string text_of(const DeclaredKey& key) {
  const std::string unit = key.unit == "-" ? "" : fmt::format(", unit: {}", key.unit);
  std::string text = fmt::format("\n{}\n    {}{}; default: {}\n    {}\n", key.name, key.type, unit,
                                 key.default_value, key.meaning);
  if (!key.readers.empty()) text += fmt::format("    Read with {}.\n", fmt::join(key.readers, " or "));
  return text;
}

}  // namespace

int help_command(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    fmt::print("{}", usage);
    return 0;
  }
  if (arguments == std::vector<std::string>{"sweep"}) {
    fmt::print("Keys of section sweep of a sweep file; configs/sweeps/README.md has the other sections.\n");
    for (const DeclaredKey& key : declared_sweep_keys()) fmt::print("{}", text_of(key));
    return 0;
  }
  if (arguments == std::vector<std::string>{"simulate"}) {
    fmt::print(
        "Keys of a config for simulate; each is also an option --section.key=value, which wins. There are as many "
        "populations, projections and Poisson stimuli as sections with different names.\n");
    SimulationConfig config({"population.NAME.", "projection.NAME.", "poisson.NAME."});
    RunSettings run;
    const auto describe = [&](SettingsVisitor& visit) {
      config.describe(visit);
      run.describe(visit);
    };
    for (const DeclaredKey& key : declared_keys(describe)) fmt::print("{}", text_of(key));
    return 0;
  }
  if (arguments.front() != "config" || arguments.size() > 2)
    throw ConfigError(fmt::format(
        "help: unknown topic '{}'; expected sweep, simulate, config, config SECTION or config NAME",
        fmt::join(arguments, " ")));
  const std::string topic = arguments.size() == 2 ? arguments.back() : "";
  std::string text;
  std::set<std::string> topics;
  for (const DeclaredKey& key : declared_keys()) {
    std::set<std::string> own(key.parts.begin(), key.parts.end());
    own.insert(key.name.substr(0, key.name.find('.')));
    topics.insert(own.begin(), own.end());
    if (!topic.empty() && !own.contains(topic)) continue;
    text += text_of(key);
  }
  if (text.empty()) {
    throw ConfigError(
        fmt::format("help config: '{}' is neither a section nor the name of a part with settings: {}", topic,
                    fmt::join(topics, ", ")));
  }
  fmt::print("Keys of a config file; each is also an option --section.key=value, which wins.\n{}", text);
  return 0;
}

}  // namespace orthospike
