#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>

#include "app/commands.hpp"
#include "app/json.hpp"
#include "app/print_error.hpp"
#include "kernels/error.hpp"
#include "learning/config.hpp"
#include "learning/ini.hpp"
#include "learning/key_reader.hpp"
#include "sim/simulation/simulation_config.hpp"
#include "sim/simulation/spike_statistics.hpp"

namespace orthospike {

namespace {

using Time = std::chrono::steady_clock;

double seconds_since(Time::time_point start) {
  return std::chrono::duration<double>(Time::now() - start).count();
}

struct Read {
  SimulationConfig config;
  RunSettings run;
};

/// The settings of a file and those of a command line, which win.
Read read(const std::vector<Setting>& in_file, const std::vector<Setting>& given) {
  std::map<std::string, std::string> values = values_of(in_file), places;
  for (const auto& [key, value] : values_of(given)) values[key] = value;
  std::vector<std::string> keys;
  for (const std::vector<Setting>* const settings : {&in_file, &given}) {
    for (const Setting& setting : *settings) {
      keys.push_back(setting.key);
      places[setting.key] = setting.place;
    }
  }
  const auto place_of = [&](const std::string& key) { return places.at(key) + ": "; };
  Read read{.config = SimulationConfig(keys), .run = {}};
  const auto describe = [&](SettingsVisitor& visit) {
    read.config.describe(visit);
    read.run.describe(visit);
  };
  KeyReader reader(values);
  try {
    describe(reader);
  } catch (const ConfigError& error) {
    const std::string sentence = error.what();
    const auto place = places.find(sentence.substr(0, sentence.find(':')));
    throw ConfigError(place == places.end() ? sentence : fmt::format("{}: {}", place->second, sentence));
  }
  for (const auto& [key, value] : reader.left()) {
    const std::vector<DeclaredKey> known = declared_keys(describe);
    const auto declared = std::ranges::find(known, key, &DeclaredKey::name);
    if (declared != known.end())
      throw ConfigError(fmt::format("{}{}: it is read only with {}", place_of(key), key,
                                    fmt::join(declared->readers, " or ")));
    throw ConfigError(place_of(key) + unknown_key(key, known, "simulate"));
  }
  return read;
}

}  // namespace

int simulate_command(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.front().starts_with("--"))
    throw ConfigError(
        "simulate: a config file is missing; usage: orthospike simulate CONFIG [--section.key=value ...]");
  std::ifstream stream(arguments.front());
  if (!stream) throw ConfigError(fmt::format("{}: the config file cannot be read", arguments.front()));
  const auto [config, run] = read(read_ini(stream, arguments.front()),
                                  command_line_settings({arguments.begin() + 1, arguments.end()}));

  const auto backend = make_backend(run.device, static_cast<int>(run.threads), print_warning);
  const SimulatedNetwork network = config.network();
  const std::uint64_t steps = config.steps(), warm_up = config.warm_up_steps();
  const Time::time_point start = Time::now();
  Simulation simulation(*backend, network, config.dt, config.seed);
  const double build_seconds = seconds_since(start);
  std::vector<std::size_t> sizes;
  for (const auto& population : network.populations) sizes.push_back(population.size);
  fmt::print("{}: {} neurons, {} synapses of {:.1f} bytes, built in {:.2f} s\n", config.name,
             fmt::join(sizes, " + "), simulation.synapses(),
             static_cast<double>(simulation.synapse_bytes()) /
                 static_cast<double>(std::max<std::uint64_t>(1, simulation.synapses())),
             build_seconds);

  SpikeStatistics statistics(sizes, config.dt, warm_up, config.seed);
  const Time::time_point run_start = Time::now();
  simulation.run(steps, statistics);
  const double run_seconds = seconds_since(run_start);

  std::string rates;
  for (std::size_t p = 0; p < network.populations.size(); ++p) {
    const SpikeStatistics::Measures found = statistics.measures(p);
    const std::string& name = network.populations[p].name;
    fmt::print(
        "{:12} rate {:.3f} Hz, deviation {:.3f}, silent {:.1f} %, CV {:.4f}, correlation {:.4f}, Fano {:.1f}\n",
        name, found.rate, found.rate_deviation, 100 * found.silent, found.cv, found.correlation, found.fano);
    rates += fmt::format("{}{}: {}", rates.empty() ? "" : ", ", json_text(name), json_number(found.rate));
  }
  const double simulated = static_cast<double>(steps) * config.dt / 1000;
  fmt::print(R"({{"rates": {{{}}}, "build_seconds": {}, "seconds": {}, "real_time_factor": {}}})"
             "\n",
             rates, json_number(build_seconds), json_number(run_seconds),
             json_number(run_seconds / simulated));
  return 0;
}

}  // namespace orthospike
