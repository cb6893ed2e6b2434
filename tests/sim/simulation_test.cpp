#include "sim/simulation/simulation.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "kernels/error.hpp"
#include "sim/neurons/iaf_psc_delta_model.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

/// Steps and neurons of the spikes of each population.
class SpikeList final : public SpikeObserver {
 public:
  void spikes(std::size_t population, std::uint64_t first, std::span<const std::uint32_t> counts,
              std::span<const std::uint32_t> neurons) override {
    for (std::size_t s = 0; s < counts.size(); ++s) {
      for (const std::uint32_t neuron : neurons.first(counts[s]))
        of[population].push_back({first + s, neuron});
      neurons = neurons.subspan(counts[s]);
    }
    CHECK(neurons.empty());
  }

  std::map<std::size_t, std::vector<std::pair<std::uint64_t, std::uint32_t>>> of;
};

Distribution distribution(const std::string& text) {
  return Distribution::parse("test", text);
}

Choice<NeuronModels> neurons(float current, float refractory) {
  Choice<NeuronModels> choice(simulated_neuron_models());
  choice.choose("iaf_psc_delta");
  // Counted from rest all potentials are multiples of 1/1024 but for the decay, which is the same on every back end.
  choice.settings<IafPscDeltaModel::Settings>() = {.tau_m = 8,
                                                   .capacitance = 256,
                                                   .rest = -64,
                                                   .threshold = -56,
                                                   .reset = -66,
                                                   .refractory = refractory,
                                                   .current = current};
  return choice;
}

using Kind = ConnectionRule::Kind;

/// Two populations and all projections among them, whose weights are powers of two, so that sums do not depend on their
/// order.
SimulatedNetwork small_network(const std::string& delays) {
  SimulatedNetwork network;
  network.populations = {
      {.name = "E", .size = 40, .neuron = neurons(300, 1), .potential = distribution("uniform(-64, -56)")},
      {.name = "I", .size = 20, .neuron = neurons(320, 0), .potential = distribution("-64")}};
  const auto project = [&](std::size_t source, std::size_t target, const ConnectionRule& rule,
                           const std::string& weight) {
    network.projections.push_back({.name = std::to_string(network.projections.size()),
                                   .source = source,
                                   .target = target,
                                   .rule = rule,
                                   .weight = distribution(weight),
                                   .delay = distribution(delays)});
  };
  project(0, 0, {.kind = Kind::fixed_indegree, .number = 6}, "0.25");
  project(0, 1, {.kind = Kind::pairwise_bernoulli, .probability = 0.3}, "0.5");
  project(1, 0, {.kind = Kind::fixed_outdegree, .number = 8}, "-0.5");
  project(1, 0, {.kind = Kind::fixed_total_number, .number = 50}, "-0.25");  // with another one
  project(1, 1, {.kind = Kind::all_to_all, .autapses = false}, "-0.125");
  return network;
}

SpikeList simulated(Backend& backend, const SimulatedNetwork& network,
                    const std::vector<std::uint64_t>& pieces) {
  Simulation simulation(backend, network, 0.5F, 7);
  SpikeList list;
  for (const std::uint64_t steps : pieces) simulation.run(steps, list);
  CHECK(simulation.now() == std::accumulate(pieces.begin(), pieces.end(), std::uint64_t{0}));
  return list;
}

/// The same step by step and synapse by synapse.
SpikeList expected(Backend& backend, const SimulatedNetwork& network, std::size_t steps) {
  struct Neuron {
    float potential = 0;
    std::size_t waits = 0;
  };
  std::vector<std::vector<Neuron>> all;
  std::map<std::pair<std::uint64_t, std::size_t>, std::vector<float>> arriving;  // by step and population
  const float decay = std::exp(-0.5 / 8);
  for (std::size_t p = 0; p < network.populations.size(); ++p) {
    const RandomKey key = {7, RandomPurpose::initial_potentials,
                           static_cast<std::uint32_t>(p + 1) * Distribution::most_attempts};
    auto& neurons = all.emplace_back(network.populations[p].size);
    for (std::size_t i = 0; i < neurons.size(); ++i)
      neurons[i].potential = static_cast<float>(network.populations[p].potential.draw(key, i, 0) + 64);
  }
  struct Travels {
    std::size_t source, target;
    std::vector<std::vector<std::tuple<std::size_t, std::uint32_t, float>>>
        of_source;  // target, delay, weight
  };
  std::vector<Travels> projections;
  for (std::size_t p = 0; p < network.projections.size(); ++p) {
    const auto& plan = network.projections[p];
    const std::size_t sources = all[plan.source].size(), targets = all[plan.target].size();
    const Synapses built = build_synapses(
        backend,
        {{.name = "test",
          .ranges = {.sources = sources, .targets = targets, .same_group = plan.source == plan.target},
          .rule = plan.rule,
          .weight = plan.weight,
          .delay = plan.delay,
          .number = static_cast<std::uint32_t>(p)}},
        sources, targets, 0.5F, 7);
    const SynapseTable table = built.table();
    const auto delays = backend.download(table.delays), starts = backend.download(table.starts);
    const auto within = backend.download(table.within);
    const auto weights = backend.download(table.weights);
    Travels& travels = projections.emplace_back(Travels{plan.source, plan.target, {}});
    travels.of_source.resize(sources);
    for (std::size_t i = 0; i < sources; ++i) {
      for (std::size_t d = 0; d < delays.size(); ++d) {
        for (std::size_t k = starts[i * delays.size() + d]; k < starts[i * delays.size() + d + 1]; ++k)
          travels.of_source[i].emplace_back(within[k], delays[d], weights[table.own_weights ? k : i]);
      }
    }
  }
  SpikeList list;
  for (std::size_t t = 0; t < steps; ++t) {
    for (std::size_t p = 0; p < all.size(); ++p) {
      const auto& settings = network.populations[p].neuron;
      const auto its = Choice(settings).settings<IafPscDeltaModel::Settings>();
      const auto drive =
          static_cast<float>((1 - std::exp(-0.5 / 8)) * 8 / 256 * static_cast<double>(its.current));
      const auto found = arriving.find({t, p});
      for (std::size_t i = 0; i < all[p].size(); ++i) {
        Neuron& neuron = all[p][i];
        if (neuron.waits > 0) {
          --neuron.waits;
        } else {
          const float arrives = found == arriving.end() ? 0.0F : found->second[i];
          neuron.potential = std::fma(decay, neuron.potential, arrives + drive);
        }
        if (neuron.potential < 8) continue;
        neuron.potential = -2;
        neuron.waits = static_cast<std::size_t>(its.refractory / 0.5F);
        list.of[p].push_back({t, static_cast<std::uint32_t>(i)});
        for (const Travels& travels : projections) {
          if (travels.source != p) continue;
          for (const auto& [target, delay, weight] : travels.of_source[i]) {
            auto& sums = arriving[{t + delay, travels.target}];
            sums.resize(all[travels.target].size());
            sums[target] += weight;
          }
        }
      }
    }
  }
  return list;
}

}  // namespace

TEST_CASE("a simulated network spikes as its equations say, step by step", "[simulation]") {
  for (const std::string delays : {"0.5", "1.5", "uniform(0.5, 6)", "uniform(2, 4)"}) {
    INFO("delays " << delays);
    const SimulatedNetwork network = small_network(delays);
    const auto reference = make_backend("reference", 1);
    const SpikeList wanted = expected(*reference, network, 150);
    CHECK(wanted.of.at(0).size() > 100);
    CHECK(wanted.of.at(1).size() > 50);
    on_each_backend([&](Backend& backend) {
      CHECK(simulated(backend, network, {150}).of == wanted.of);
      CHECK(simulated(backend, network, {1, 7, 22, 0, 120}).of == wanted.of);
    });
    CHECK(simulated(*backend_of("cpu", 3), network, {150}).of == wanted.of);
  }
}

TEST_CASE("steps are run together up to the shortest delay", "[simulation]") {
  const auto backend = make_backend("cpu", 1);
  CHECK(Simulation(*backend, small_network("1.5"), 0.5F, 7).interval() == 3);
  CHECK(Simulation(*backend, small_network("uniform(2, 4)"), 0.5F, 7).interval() == 4);
  CHECK(Simulation(*backend, small_network("1000"), 0.5F, 7).interval() == 64);
  SimulatedNetwork network = small_network("1.5");
  const Simulation simulation(*backend, network, 0.5F, 7);
  // 40 · 6 and 20 · 8 + 50 and 20 · 19, and about 0.3 · 40 · 20.
  const std::uint64_t counted = simulation.synapses() - 240 - 210 - 380;
  CHECK(counted > 180);
  CHECK(counted < 300);
  CHECK(simulation.synapse_bytes() > 2 * simulation.synapses());
}

TEST_CASE("each neuron has a Poisson train of its own", "[simulation]") {
  SimulatedNetwork network;
  // Neurons that spike where anything arrives.
  Choice<NeuronModels> neuron(simulated_neuron_models());
  neuron.settings<IafPscDeltaModel::Settings>() = {.rest = 0, .threshold = 0.5F, .reset = 0, .refractory = 0};
  for (const char* const name : {"A", "B", "C"})
    network.populations.push_back({.name = name, .size = 200, .neuron = neuron, .potential = {}});
  network.stimuli = {{.name = "40 Hz", .target = 0, .rate = 40, .weight = 1},
                     {.name = "10 Hz", .target = 1, .rate = 10, .weight = 1},
                     {.name = "20 Hz", .target = 1, .rate = 20, .weight = 1}};
  on_each_backend([&](Backend& backend) {
    Simulation simulation(backend, network, 0.5F, 3);
    SpikeList list;
    simulation.run(2000, list);
    // 200 neurons for 1 s, less what falls on the same step: λ - λ²/2.
    CHECK(static_cast<double>(list.of[0].size()) == Approx(8000 * 0.99).epsilon(0.04));
    CHECK(static_cast<double>(list.of[1].size()) == Approx(6000 * 0.9925).epsilon(0.04));
    CHECK(list.of[2].empty());
    std::map<std::uint32_t, int> of_neuron;
    for (const auto& [step, i] : list.of[0]) ++of_neuron[i];
    CHECK(of_neuron.size() == 200);
  });
}

TEST_CASE("a network whose potentials are no numbers ends with a sentence", "[simulation]") {
  SimulatedNetwork network = small_network("1");
  network.populations[1].neuron.settings<IafPscDeltaModel::Settings>() = {.capacitance = 1e-3F,
                                                                          .current = -1e38F};
  on_each_backend([&](Backend& backend) {
    Simulation simulation(backend, network, 0.5F, 7);
    SpikeList list;
    CHECK_THROWS_WITH(simulation.run(100, list),
                      "population I: potentials are no finite numbers any more, after 100 steps");
  });
}

TEST_CASE("networks that cannot be simulated are refused", "[simulation]") {
  const auto backend = make_backend("cpu", 1);
  const auto refusal = [&](const SimulatedNetwork& network) {
    try {
      Simulation(*backend, network, 0.5F, 7);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refusal(small_network("0.1")).starts_with("projection.0"));
  SimulatedNetwork network = small_network("1");
  network.populations[0].neuron = neurons(0, 0.7F);
  CHECK(refusal(network) == "population.E.t_ref: 0.7 is no multiple of the step, 0.5");
  network.populations[0].neuron.settings<IafPscDeltaModel::Settings>() = {.reset = -50};
  CHECK(refusal(network).starts_with("population.E.V_reset: "));
  network = small_network("1");
  network.stimuli = {{.name = "drive", .target = 0, .rate = 3e9, .weight = 1}};
  CHECK(refusal(network) ==
        "poisson.drive.rate: 3e+09 Hz are 1.5e+06 spikes in a step, expected at most 1e+06");
  network.stimuli[0].rate = 1e30;
  CHECK(refusal(network).starts_with("poisson.drive.rate: "));
}

}  // namespace orthospike::testing
