#include "sim/simulation/simulation_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

/// NAME of section.NAME.key, or none where the key is of another section.
std::string name_in(const std::string& key, const std::string& section) {
  if (!key.starts_with(section + ".")) return "";
  const std::size_t first = section.size() + 1, last = key.rfind('.');
  if (last <= first)
    throw ConfigError(fmt::format("{}: section [{}] has no name; expected [{}.NAME]", key, section, section));
  return key.substr(first, last - first);
}

/// Of sections [section.NAME] those that keys begin with, in their order, unnamed by default.
template <class Part>
void add_parts(const std::vector<std::string>& keys, const std::string& section, std::vector<Part>& parts) {
  for (const std::string& key : keys) {
    const std::string name = name_in(key, section);
    if (name.empty() || std::ranges::find(parts, name, &Part::name) != parts.end()) continue;
    parts.emplace_back().name = name;
  }
}

}  // namespace

SimulationConfig::SimulationConfig(const std::vector<std::string>& keys) {
  add_parts(keys, "population", populations_);
  add_parts(keys, "projection", projections_);
  add_parts(keys, "poisson", stimuli_);
}

void SimulationConfig::describe(SettingsVisitor& visit) {
  visit("simulation.name", name, "Name of the simulation, for people.");
  visit("simulation.seed", seed, at_least(0), "-",
        "Seed of every random number: synapses, initial potentials and stimuli.");
  visit("simulation.time", time, positive, "ms", "Time that is simulated; whole steps.");
  visit("simulation.warm_up", warm_up, not_negative, "ms",
        "Time before that whose spikes are not counted; whole steps.");
  visit("simulation.dt", dt, positive, "ms", "Length of a step.");
  for (Population& population : populations_) {
    visit.renamed("neuron.", fmt::format("population.{}.", population.name), [&] {
      visit("neuron.size", population.size, {.lowest = 1, .highest = 100'000'000}, "neurons",
            "Number of neurons.");
      population.neuron.describe(visit);
      visit(
          "neuron.V_m", population.potential,
          "Potential at the beginning, mV: a number, uniform(low, high), normal(mean, deviation) or lognormal(mu, "
          "sigma), perhaps followed by 'in [low, high]' or 'clipped to [low, high]'.");
    });
  }
  for (Projection& projection : projections_)
    visit.renamed("projection.", fmt::format("projection.{}.", projection.name),
                  [&] { projection.describe(visit); });
  for (Poisson& stimulus : stimuli_)
    visit.renamed("poisson.", fmt::format("poisson.{}.", stimulus.name), [&] { stimulus.describe(visit); });
}

void SimulationConfig::Projection::describe(SettingsVisitor& visit) {
  visit("projection.source", source, "Name of the population that spikes.");
  visit("projection.target", target, "Name of the population that gets them.");
  using Kind = ConnectionRule::Kind;
  visit("projection.rule", kind, connection_rules(),
        "Which synapses there are, as NEST's rule of that name has it");
  visit.only(kind == Kind::pairwise_bernoulli, "projection.rule pairwise_bernoulli", [&] {
    visit("projection.probability", probability, fraction, "-", "Of a synapse between a pair of neurons.");
  });
  const auto visit_number = [&](Kind of, const std::string& word, const std::string& key,
                                const std::string& meaning) {
    visit.only(kind == of, "projection.rule " + word,
               [&] { visit("projection." + key, number, at_least(0), "synapses", meaning); });
  };
  visit_number(Kind::fixed_indegree, "fixed_indegree", "indegree", "Of each neuron of the target.");
  visit_number(Kind::fixed_outdegree, "fixed_outdegree", "outdegree", "Of each neuron of the source.");
  visit_number(Kind::fixed_total_number, "fixed_total_number", "number", "Of all neurons.");
  visit("projection.autapses", autapses, "Whether neurons may have synapses to themselves.");
  visit("projection.multapses", multapses, "Whether a pair of neurons may have several synapses.");
  visit(
      "projection.weight", weight,
      "Weights, mV or pA as the target's neurons have it: a number, uniform(low, high), normal(mean, deviation) or "
      "lognormal(mu, sigma), perhaps followed by 'in [low, high]' or 'clipped to [low, high]'.");
  visit("projection.delay", delay, "Delays, ms, in the same way; rounded to steps.");
}

void SimulationConfig::Poisson::describe(SettingsVisitor& visit) {
  visit("poisson.target", target, "Name of the population, each of whose neurons gets a train of its own.");
  visit("poisson.rate", rate, not_negative, "Hz", "Spikes of a train.");
  visit("poisson.weight", weight, any_number, "mV or pA", "Of each of them.");
}

SimulatedNetwork SimulationConfig::network() const {
  if (populations_.empty())
    throw ConfigError("there is no population; a section [population.NAME] describes one");
  SimulatedNetwork network;
  for (const Population& population : populations_)
    network.populations.push_back(
        {.name = population.name,
         .size = population.size,
         .neuron = population.neuron,
         .potential =
             Distribution::parse(fmt::format("population.{}.V_m", population.name), population.potential)});
  for (const Projection& projection : projections_) {
    const std::string section = "projection." + projection.name;
    network.projections.push_back({.name = projection.name,
                                   .source = index_of(section + ".source", projection.source),
                                   .target = index_of(section + ".target", projection.target),
                                   .rule = projection.rule(),
                                   .weight = Distribution::parse(section + ".weight", projection.weight),
                                   .delay = Distribution::parse(section + ".delay", projection.delay)});
  }
  for (const Poisson& stimulus : stimuli_)
    network.stimuli.push_back(
        {.name = stimulus.name,
         .target = index_of(fmt::format("poisson.{}.target", stimulus.name), stimulus.target),
         .rate = stimulus.rate,
         .weight = stimulus.weight});
  return network;
}

std::size_t SimulationConfig::index_of(const std::string& key, const std::string& population) const {
  std::vector<std::string> names;
  for (const Population& known : populations_) names.push_back(known.name);
  const auto found = std::ranges::find(names, population);
  if (found == names.end()) throw_unknown_name(key, population, names);
  return static_cast<std::size_t>(found - names.begin());
}

std::uint64_t SimulationConfig::steps() const {
  return Clock{.steps = 1, .dt = dt}.whole_steps("simulation.time", time) + warm_up_steps();
}

std::uint64_t SimulationConfig::warm_up_steps() const {
  return Clock{.steps = 1, .dt = dt}.whole_steps("simulation.warm_up", warm_up);
}

}  // namespace orthospike
