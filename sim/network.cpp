#include "sim/network.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "sim/connections/dense.hpp"

namespace orthospike {

namespace {

void require(bool holds, const std::string& sentence) {
  if (!holds) throw std::invalid_argument(sentence);
}

}  // namespace

std::size_t Network::add_population(Population population) {
  const std::string& name = population.name;
  require(population.size > 0, fmt::format("population '{}' has no neurons", name));
  require(population.kind != Population::Kind::bias || population.size == 1,
          fmt::format("population '{}' has {} neurons, where biases are from one", name, population.size));
  require(std::ranges::none_of(populations_, [&](const Population& p) { return p.name == name; }),
          fmt::format("population name '{}' is in use", name));
  require((population.kind == Population::Kind::spiking) == (population.neuron != nullptr),
          fmt::format("population '{}': exactly the spiking ones have a neuron model", name));
  if (population.normalisation != nullptr) {
    require(population.neuron != nullptr && population.size % population.normalisation->channels() == 0,
            fmt::format("population '{}' has no currents to normalise, or a part of a channel", name));
  }
  if (population.carried) {
    const std::size_t from = *population.carried;
    require(population.neuron != nullptr && from < populations_.size() &&
                populations_[from].neuron != nullptr && populations_[from].size == population.size,
            fmt::format("population '{}' carries currents on that are none, or not of its size", name));
  }
  populations_.push_back(std::move(population));
  return populations_.size() - 1;
}

std::size_t Network::add_projection(std::string name, std::size_t source, std::size_t target,
                                    std::unique_ptr<Connection> connection) {
  require(source < populations_.size() && target < populations_.size(),
          fmt::format("projection '{}' joins a population that does not exist", name));
  require(source <= target, fmt::format("projection '{}' leads back to an earlier population", name));
  require(populations_[source].kind != Population::Kind::readout,
          fmt::format("projection '{}' starts at a read-out", name));
  require(
      !populations_[target].is_static(),
      fmt::format("projection '{}' ends at '{}', whose output is given", name, populations_[target].name));
  require(connection->sources() == populations_[source].size &&
              connection->targets() == populations_[target].size,
          fmt::format("projection '{}' connects {} neurons to {}, where the populations have {} and {}", name,
                      connection->sources(), connection->targets(), populations_[source].size,
                      populations_[target].size));
  require(source != target || recurrent_projection(source) == nullptr,
          fmt::format("population '{}' has two projections onto itself", populations_[target].name));
  require(source != target || populations_[source].normalisation == nullptr,
          fmt::format("population '{}', whose currents are normalised, has a projection onto itself",
                      populations_[target].name));
  require(source != target || (!populations_[source].carried && carriers(source).empty()),
          fmt::format("population '{}', whose currents are carried, has a projection onto itself",
                      populations_[target].name));
  for (const std::size_t carrier : carriers(target))
    require(projections_to(carrier).empty(),
            fmt::format("projection '{}' reaches '{}', whose currents an earlier target carries on", name,
                        populations_[target].name));
  // Engines and rules visit projections in this order, and a population when all that reach it have been.
  require(projections_from(target).empty(),
          fmt::format("projection '{}' reaches '{}', from which an earlier one starts", name,
                      populations_[target].name));
  require(populations_[source].is_static() ||
              std::ranges::any_of(projections_, [&](const Projection& p) { return p.target == source; }),
          fmt::format("projection '{}' starts at '{}', which no earlier projection reaches", name,
                      populations_[source].name));
  const std::size_t weights = connection->presynaptic() * connection->outputs();
  projections_.push_back({.name = std::move(name),
                          .source = source,
                          .target = target,
                          .connection = std::move(connection),
                          .weights = backend_.allocate<float>(weights)});
  return projections_.size() - 1;
}

std::size_t Network::add_projection(std::string name, std::size_t source, std::size_t target) {
  require(source < populations_.size() && target < populations_.size(),
          fmt::format("projection '{}' joins a population that does not exist", name));
  auto dense = std::make_unique<Dense>(populations_[source].size, populations_[target].size);
  return add_projection(std::move(name), source, target, std::move(dense));
}

void Network::check_complete() const {
  const auto count = [&](Population::Kind kind) {
    return std::ranges::count_if(populations_, [&](const Population& p) { return p.kind == kind; });
  };
  require(count(Population::Kind::input) == 1, "a network has exactly one input population");
  require(count(Population::Kind::readout) == 1, "a network has exactly one read-out population");
  for (std::size_t i = 0; i < populations_.size(); ++i) {
    require(populations_[i].is_static() ||
                std::ranges::any_of(projections_, [&](const Projection& p) { return p.target == i; }),
            fmt::format("no projection reaches population '{}'", populations_[i].name));
    // Errors come back to a population after they came to what carries its currents on.
    const std::vector<std::size_t> from = projections_from(i);
    if (const auto& carried = populations_[i].carried) {
      const std::vector<std::size_t> past = projections_from(*carried);
      require(!past.empty() && (from.empty() || past.front() < from.front()),
              fmt::format("no projection starts at '{}' before '{}', which carries its currents on",
                          populations_[*carried].name, populations_[i].name));
    }
  }
}

std::vector<std::size_t> Network::projections_to(std::size_t population) const {
  return feed_forward(&Projection::target, population);
}

std::vector<std::size_t> Network::projections_from(std::size_t population) const {
  return feed_forward(&Projection::source, population);
}

std::vector<std::size_t> Network::feed_forward(std::size_t Projection::*end, std::size_t population) const {
  std::vector<std::size_t> found;
  for (std::size_t p = 0; p < projections_.size(); ++p) {
    if (projections_[p].*end == population && !projections_[p].is_recurrent()) found.push_back(p);
  }
  return found;
}

std::vector<std::size_t> Network::carriers(std::size_t population) const {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < populations_.size(); ++i) {
    if (populations_[i].carried == population) found.push_back(i);
  }
  return found;
}

const Projection* Network::recurrent_projection(std::size_t population) const {
  const auto found = std::ranges::find_if(
      projections_, [&](const Projection& p) { return p.is_recurrent() && p.source == population; });
  return found == projections_.end() ? nullptr : &*found;
}

void Network::initialise_weights(std::uint64_t seed) {
  for (std::size_t p = 0; p < projections_.size(); ++p) {
    if (populations_[projections_[p].source].kind == Population::Kind::bias) {
      backend_.clear(projections_[p].weights.view());
      continue;
    }
    draw(backend_, projections_[p].connection->initial_weights(),
         {seed, RandomPurpose::weights, static_cast<std::uint32_t>(p)}, projections_[p].weights.view());
  }
}

void Network::state(Archive& archive) {
  for (const Population& population : populations_) {
    if (population.neuron != nullptr) archive(population.name, *population.neuron);
    if (population.normalisation != nullptr)
      archive(population.name + "_normalisation", *population.normalisation);
  }
  for (Projection& projection : projections_) archive(projection.name, projection.weights);
}

}  // namespace orthospike
