// What building sparse synapses costs: seconds, bytes a synapse and peak memory.
//
//   build/tests/synapse_benchmark [microcircuit | RULE | RULE-] [SCALE] [THREADS] [DEVICE]
//
// Builds the synapses of the cortical microcircuit of Potjans and Diesmann (Cerebral Cortex, 2014) with the weights and
// delays of its version in NEST, all in one table; or about as many among as many neurons by one rule, with a dash behind
// it without multapses. SCALE, 1 where none is given, multiplies neurons and, squared, synapses.

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "sim/synapses/synapse_builder.hpp"
#include "tests/benchmarks/timing.hpp"

namespace {

using namespace orthospike;
using testing::seconds_of;

constexpr std::size_t populations = 8;  // excitatory and inhibitory neurons of layers 2/3, 4, 5 and 6
constexpr std::array<std::size_t, populations> sizes{20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948};
constexpr double probabilities[populations][populations] = {
    // from each population, to the one of the row
    {0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0, 0.0076, 0},
    {0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0, 0.0042, 0},
    {0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0},
    {0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0, 0.1057, 0},
    {0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0},
    {0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0},
    {0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252},
    {0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443},
};

/// The number of random pairs with which two neurons are joined with that probability.
double pairs(std::size_t target, std::size_t source) {
  const double all = static_cast<double>(sizes[source]) * static_cast<double>(sizes[target]);
  return std::log(1 - probabilities[target][source]) / std::log(1 - 1 / all);
}

struct Circuit {
  std::vector<SynapseSpec> specs;
  std::size_t neurons = 0;
};

Circuit microcircuit(double scale) {
  Circuit circuit;
  std::array<std::size_t, populations> first{}, count{};
  for (std::size_t i = 0; i < populations; ++i) {
    first[i] = circuit.neurons;
    count[i] = static_cast<std::size_t>(std::lround(scale * static_cast<double>(sizes[i])));
    circuit.neurons += count[i];
  }
  for (std::size_t target = 0; target < populations; ++target) {
    for (std::size_t source = 0; source < populations; ++source) {
      const bool excites = source % 2 == 0, stronger = target == 0 && source == 2;
      circuit.specs.push_back(
          {.name = fmt::format("{} to {}", source, target),
           .ranges = {first[source], count[source], first[target], count[target], true},
           .rule = {.kind = ConnectionRule::Kind::fixed_total_number,
                    .number = static_cast<std::uint64_t>(
                        std::lround(scale * scale * std::round(pairs(target, source))))},
           .weight = Distribution::parse("weight", stronger  ? "normal(175.617, 17.5617) in [0, inf]"
                                                   : excites ? "normal(87.8085, 8.78085) in [0, inf]"
                                                             : "normal(-351.234, 35.1234) in [-inf, 0]"),
           .delay = Distribution::parse(
               "delay", excites ? "normal(1.5, 0.75) in [0.05, inf]" : "normal(0.75, 0.375) in [0.05, inf]"),
           .number = static_cast<std::uint32_t>(circuit.specs.size())});
    }
  }
  return circuit;
}

/// The most that the process has had so far.
double peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return 1024.0 * static_cast<double>(usage.ru_maxrss);
}

/// About as many synapses by one rule, with weights and delays of the excitatory ones.
Circuit by_rule(ConnectionRule::Kind kind, bool multapses, const Circuit& like) {
  using Kind = ConnectionRule::Kind;
  double number = 0;
  for (const SynapseSpec& spec : like.specs) number += spec.rule.synapses(spec.ranges);
  const auto neurons = static_cast<double>(like.neurons);
  SynapseSpec spec = like.specs.front();
  spec.ranges = {.sources = like.neurons, .targets = like.neurons, .same_group = true};
  const double drawn = kind == Kind::fixed_total_number ? number : number / neurons;
  spec.rule = {.kind = kind,
               .probability = number / (neurons * neurons),
               .number = static_cast<std::uint64_t>(std::lround(drawn)),
               .multapses = multapses};
  return {{spec}, like.neurons};
}

int benchmark(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "microcircuit";
  const double scale = argc > 2 ? std::atof(argv[2]) : 1;
  const bool multapses = !what.ends_with("-");
  const std::string word = what.substr(0, what.size() - (multapses ? 0 : 1));
  const auto named =
      std::ranges::find_if(connection_rules(), [&](const auto& rule) { return rule.word == word; });
  if ((named == connection_rules().end() && what != "microcircuit") || !(scale > 0 && scale <= 1) ||
      argc > 5) {
    fmt::print(
        stderr,
        "usage: synapse_benchmark [microcircuit | RULE | RULE-] [SCALE, at most 1] [THREADS] [DEVICE]\n");
    return 2;
  }
  const auto backend = make_backend(argc > 4 ? argv[4] : "cpu", argc > 3 ? std::atoi(argv[3]) : 0);
  Circuit circuit = microcircuit(scale);
  if (named != connection_rules().end()) circuit = by_rule(named->value, multapses, circuit);
  const double before = peak_bytes();
  Synapses built;
  const double seconds = seconds_of([&] {
    built = build_synapses(*backend, circuit.specs, circuit.neurons, circuit.neurons, 0.1, 1);
    backend->synchronise();
  });
  const SynapseTable table = built.table();
  const auto synapses = static_cast<double>(table.synapses());
  fmt::print("{}, {} threads\n", backend->device(), backend->threads());
  fmt::print("{}: {} synapses of {} neurons, {} blocks, {} delays\n", what, table.synapses(), circuit.neurons,
             table.blocks(), table.delays.size());
  fmt::print(
      "{:.2f} s, {:.1f} ns a synapse; {:.2f} bytes a synapse, {:.2f} at the peak, of the process {:.0f} MB\n",
      seconds, 1e9 * seconds / synapses, static_cast<double>(built.bytes()) / synapses,
      (peak_bytes() - before) / synapses, 1e-6 * peak_bytes());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return benchmark(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "synapse_benchmark: {}\n", error.what());
    return 1;
  }
}
