#include "sim/simulation/simulation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/algorithm/string.hpp>
#include <cmath>
#include <numeric>
#include <utility>

#include "kernels/error.hpp"
#include "kernels/poisson_table.hpp"
#include "kernels/synapses.hpp"

namespace orthospike {

namespace {

/// Beyond this, running more steps at a time saves nothing.
constexpr std::size_t longest_interval = 64;
/// Of one stimulus to a neuron: a table has about as many numbers.
constexpr double most_spikes_of_step = 1e6;

/// Throws ConfigError that begins with the population's own key.
std::unique_ptr<NeuronModel> make_neurons(const SimulatedNetwork::Population& plan, Backend& backend,
                                          const Clock& clock) {
  try {
    return plan.neuron.make(backend, clock);
  } catch (const ConfigError& error) {
    throw ConfigError(boost::replace_all_copy(std::string(error.what()), "neuron.",
                                              fmt::format("population.{}.", plan.name)));
  }
}

}  // namespace

Simulation::Simulation(Backend& backend, const SimulatedNetwork& network, float dt, std::uint64_t seed)
    : backend_(backend), seed_(seed) {
  const Clock clock{.steps = 1, .dt = dt};
  std::size_t widest = 0;
  for (const SimulatedNetwork::Population& plan : network.populations) {
    Population& population = populations_.emplace_back();
    population.name = plan.name;
    population.size = plan.size;
    population.neuron = make_neurons(plan, backend, clock);
    population.mean_output = backend.allocate<float>(plan.size);
    for (std::size_t field = 0; field < population.neuron->state_fields().size(); ++field)
      population.state.push_back(backend.allocate<float>(plan.size));
    draw_potentials(population, plan.potential, static_cast<std::uint32_t>(populations_.size()));
    widest = std::max(widest, plan.size);
  }
  // A population may get what another sends by several projections, in one table.
  std::size_t shortest = longest_interval, longest = 1;
  for (std::size_t target = 0; target < populations_.size(); ++target) {
    for (std::size_t source = 0; source < populations_.size(); ++source) {
      std::vector<SynapseSpec> specs;
      for (std::size_t p = 0; p < network.projections.size(); ++p) {
        const SimulatedNetwork::Projection& plan = network.projections[p];
        if (plan.source != source || plan.target != target) continue;
        specs.push_back({.name = "projection." + plan.name,
                         .ranges = {.sources = populations_[source].size,
                                    .targets = populations_[target].size,
                                    .same_group = source == target},
                         .rule = plan.rule,
                         .weight = plan.weight,
                         .delay = plan.delay,
                         .number = static_cast<std::uint32_t>(p)});
      }
      if (specs.empty()) continue;
      Projection& projection = projections_.emplace_back(
          Projection{.source = source,
                     .target = target,
                     .synapses = build_synapses(backend, specs, populations_[source].size,
                                                populations_[target].size, dt, seed)});
      const std::vector<std::uint32_t> delays = backend.download(projection.synapses.table().delays);
      if (delays.empty()) continue;
      shortest = std::min<std::size_t>(shortest, delays.front());
      longest = std::max<std::size_t>(longest, delays.back());
    }
  }
  interval_ = shortest;
  ring_ = (longest + interval_ + interval_ - 1) / interval_ * interval_;
  for (Population& population : populations_) {
    population.counts = backend.allocate<std::uint32_t>(ring_);
    population.indices = backend.allocate<std::uint32_t>(ring_ * population.size);
  }
  arriving_ = backend.allocate<float>(interval_ * widest);
  for (const SimulatedNetwork::Poisson& plan : network.stimuli) {
    const double spikes_of_step = plan.rate * dt / 1000;
    if (!(spikes_of_step <= most_spikes_of_step)) {
      throw ConfigError(
          fmt::format("poisson.{}.rate: {:g} Hz are {:g} spikes in a step, expected at most {:g}", plan.name,
                      plan.rate, spikes_of_step, most_spikes_of_step));
    }
    const std::vector<std::uint32_t> table = poisson_table(spikes_of_step);
    Poisson& stimulus = stimuli_.emplace_back(
        Poisson{.target = plan.target,
                .below = backend.allocate<std::uint32_t>(table.size()),
                .weight = plan.weight,
                .key = {seed, RandomPurpose::poisson, static_cast<std::uint32_t>(stimuli_.size())}});
    backend.upload(std::span<const std::uint32_t>(table), stimulus.below.view());
  }
}

void Simulation::draw_potentials(Population& population, const Distribution& potential,
                                 std::uint32_t number) {
  const RandomKey key = {seed_, RandomPurpose::initial_potentials, number * Distribution::most_attempts};
  std::vector<float> potentials(population.size);
  for (std::size_t i = 0; i < potentials.size(); ++i)
    potentials[i] = static_cast<float>(potential.draw(key, i, 0) - population.neuron->resting_potential());
  backend_.upload(std::span<const float>(potentials), population.state.front().view());
}

void Simulation::run(std::uint64_t steps, SpikeObserver& observer) {
  for (const std::uint64_t end = now_ + steps; now_ < end;) {
    // Never across the end of the ring.
    const std::size_t left = interval_ - now_ % interval_;
    const std::size_t count = std::min<std::size_t>(left, end - now_);
    run_interval(count);
    for (std::size_t p = 0; p < populations_.size(); ++p) tell(p, count, observer);
    now_ += count;
  }
  check_potentials();
}

void Simulation::check_potentials() const {
  for (const Population& population : populations_) {
    const std::vector<float> potentials = backend_.download(population.state.front().view());
    if (!std::ranges::all_of(potentials, [](float potential) { return std::isfinite(potential); }))
      throw EnvironmentError(fmt::format(
          "population {}: potentials are no finite numbers any more, after {} steps", population.name, now_));
  }
}

void Simulation::run_interval(std::size_t steps) {
  const std::size_t row = now_ % ring_;
  for (std::size_t p = 0; p < populations_.size(); ++p) {
    Population& population = populations_[p];
    const Matrix arriving = arriving_.matrix(steps, population.size);
    bool is_first = true;
    for (const Projection& projection : projections_) {
      if (projection.target != p) continue;
      backend_.synapses().run(DeliverSynapses{.synapses = projection.synapses.table(),
                                              .spikes = ring(populations_[projection.source]),
                                              .now = now_,
                                              .beta = is_first ? 0.0F : 1.0F,
                                              .arriving = arriving});
      is_first = false;
    }
    if (is_first) backend_.clear(arriving.values);
    for (const Poisson& stimulus : stimuli_) {
      if (stimulus.target != p) continue;
      backend_.synapses().run(AddPoisson{.below = stimulus.below.view(),
                                         .weight = stimulus.weight,
                                         .key = stimulus.key,
                                         .first = now_,
                                         .values = arriving});
    }
    Activity activity;
    activity.spikes = ring(population).row_range(row, steps);
    activity.mean_output = population.mean_output.matrix(1, population.size);
    for (Array<float>& field : population.state) activity.state.push_back(field.matrix(1, population.size));
    population.neuron->run(backend_, 1, steps, arriving, activity);  // 1: from the state, not from rest
  }
}

Spikes Simulation::ring(Population& population) const {
  return {population.counts.view(), population.indices.view(), ring_, population.size, {}};
}

void Simulation::tell(std::size_t p, std::size_t steps, SpikeObserver& observer) {
  Population& population = populations_[p];
  const Spikes spikes = ring(population).row_range(now_ % ring_, steps);
  const std::vector<std::uint32_t> counts = backend_.download(View<const std::uint32_t>(spikes.counts));
  std::vector<std::uint32_t> neurons(std::accumulate(counts.begin(), counts.end(), std::size_t{0}));
  std::span<std::uint32_t> left = neurons;
  for (std::size_t s = 0; s < steps; ++s) {
    const View<const std::uint32_t> from = spikes.indices.subview(s * population.size, counts[s]);
    if (counts[s] > 0) backend_.download(from, left.first(counts[s]));
    left = left.subspan(counts[s]);
  }
  observer.spikes(p, now_, counts, neurons);
}

std::uint64_t Simulation::synapses() const {
  return std::accumulate(projections_.begin(), projections_.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const Projection& projection) {
                           return sum + projection.synapses.table().synapses();
                         });
}

std::uint64_t Simulation::synapse_bytes() const {
  return std::accumulate(
      projections_.begin(), projections_.end(), std::uint64_t{0},
      [](std::uint64_t sum, const Projection& projection) { return sum + projection.synapses.bytes(); });
}

}  // namespace orthospike
