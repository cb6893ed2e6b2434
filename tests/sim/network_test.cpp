#include "sim/network.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "sim/connections/dense.hpp"
#include "tests/conformance/backends.hpp"
#include "tests/plain_neurons.hpp"

namespace orthospike::testing {
namespace {

using Kind = Population::Kind;

class Fixture {
 public:
  std::size_t add(const std::string& name, std::size_t size, Kind kind) {
    return network.add_population(
        {.name = name,
         .size = size,
         .kind = kind,
         .neuron = kind == Kind::spiking ? settings.make("lif_dsr", *backend) : nullptr});
  }

  PlainNeurons settings{.steps = 5, .dt = 0.1F, .tau = 1.0F, .threshold = 1.0F, .firing_fraction = 1.0F};
  std::unique_ptr<Backend> backend = make_backend("reference", 1);
  Network network{*backend};
};

}  // namespace

TEST_CASE_METHOD(Fixture, "populations and projections are numbered in order", "[network]") {
  CHECK(add("in", 3, Kind::input) == 0);
  CHECK(add("hidden", 4, Kind::spiking) == 1);
  CHECK(add("out", 2, Kind::readout) == 2);
  CHECK(network.add_projection("first", 0, 1) == 0);
  CHECK(network.add_projection("second", 1, 2) == 1);
  CHECK_NOTHROW(network.check_complete());

  const Projection& first = network.projections()[0];
  CHECK(first.name == "first");
  CHECK(first.source == 0);
  CHECK(first.target == 1);
  CHECK(first.sources() == 3);
  CHECK(first.targets() == 4);
  CHECK(first.matrix().rows == 3);
  CHECK(first.matrix().cols == 4);
  CHECK(downloaded(*backend, first.weights) == std::vector<float>(12, 0.0F));
}

TEST_CASE_METHOD(Fixture, "currents are carried on between spiking populations, past projections",
                 "[network]") {
  const auto carrier = [&](const std::string& name, std::size_t size, std::size_t from) {
    return network.add_population(
        {.name = name, .size = size, .neuron = settings.make("lif_dsr", *backend), .carried = from});
  };
  add("in", 3, Kind::input);
  add("a", 4, Kind::spiking);
  CHECK_THROWS_WITH(carrier("b", 5, 1),
                    "population 'b' carries currents on that are none, or not of its size");
  CHECK_THROWS_AS(carrier("b", 3, 0), std::invalid_argument);
  CHECK_THROWS_AS(carrier("b", 4, 2), std::invalid_argument);
  add("between", 2, Kind::spiking);
  carrier("b", 4, 1);
  add("out", 2, Kind::readout);
  network.add_projection("in a", 0, 1);
  network.add_projection("a between", 1, 2);
  network.add_projection("between b", 2, 3);
  CHECK_THROWS_WITH(network.add_projection("b b", 3, 3),
                    "population 'b', whose currents are carried, has a projection onto itself");
  CHECK_THROWS_AS(network.add_projection("a a", 1, 1), std::invalid_argument);
  network.add_projection("b out", 3, 4);
  CHECK_NOTHROW(network.check_complete());
}

TEST_CASE_METHOD(Fixture, "currents are not carried on before they are complete", "[network]") {
  add("in", 3, Kind::input);
  add("a", 4, Kind::spiking);
  network.add_population(
      {.name = "b", .size = 4, .neuron = settings.make("lif_dsr", *backend), .carried = 1});
  add("out", 2, Kind::readout);
  network.add_projection("in b", 0, 2);
  CHECK_THROWS_WITH(network.add_projection("in a", 0, 1),
                    "projection 'in a' reaches 'a', whose currents an earlier target carries on");
}

TEST_CASE_METHOD(Fixture, "currents are carried on past a projection from where they were", "[network]") {
  add("in", 3, Kind::input);
  add("a", 4, Kind::spiking);
  network.add_population(
      {.name = "b", .size = 4, .neuron = settings.make("lif_dsr", *backend), .carried = 1});
  add("out", 2, Kind::readout);
  network.add_projection("in a", 0, 1);
  network.add_projection("in b", 0, 2);
  network.add_projection("b out", 2, 3);
  CHECK_THROWS_WITH(network.check_complete(),
                    "no projection starts at 'a' before 'b', which carries its currents on");
}

TEST_CASE_METHOD(Fixture, "a population must have neurons", "[network]") {
  CHECK_THROWS_AS(add("in", 0, Kind::input), std::invalid_argument);
  CHECK_THROWS_WITH(add("in", 0, Kind::input), "population 'in' has no neurons");
  CHECK(network.populations().empty());
}

TEST_CASE_METHOD(Fixture, "biases start at 0 and come from one neuron, which nothing reaches", "[network]") {
  CHECK_THROWS_WITH(add("bias", 2, Kind::bias), "population 'bias' has 2 neurons, where biases are from one");
  add("in", 3, Kind::input);
  add("bias", 1, Kind::bias);
  add("out", 2, Kind::readout);
  CHECK_THROWS_AS(network.add_projection("p", 0, 1), std::invalid_argument);
  network.add_projection("weights", 0, 2);
  network.add_projection("biases", 1, 2);
  CHECK_NOTHROW(network.check_complete());
  for (Projection& projection : network.projections())
    backend->upload(std::span<const float>(std::vector<float>(projection.weights.size(), 7.0F)),
                    projection.weights.view());
  network.initialise_weights(3);
  CHECK(downloaded(*backend, network.projections()[1].weights) == std::vector<float>(2, 0.0F));
  for (const float weight : downloaded(*backend, network.projections()[0].weights))
    CHECK(std::abs(weight) < 1);
}

TEST_CASE_METHOD(Fixture, "names of populations are unique", "[network]") {
  add("in", 3, Kind::input);
  CHECK_THROWS_AS(add("in", 4, Kind::spiking), std::invalid_argument);
  CHECK_THROWS_WITH(add("in", 4, Kind::spiking), "population name 'in' is in use");
  CHECK(network.populations().size() == 1);
}

TEST_CASE_METHOD(Fixture, "exactly spiking populations have a neuron model", "[network]") {
  const auto with_model = [&](Kind kind) {
    network.add_population(
        {.name = "odd", .size = 3, .kind = kind, .neuron = settings.make("lif_dsr", *backend)});
  };
  const auto without_model = [&] {
    network.add_population({.name = "odd", .size = 3, .kind = Kind::spiking, .neuron = nullptr});
  };
  const std::string sentence = "population 'odd': exactly the spiking ones have a neuron model";
  CHECK_THROWS_AS(with_model(Kind::input), std::invalid_argument);
  CHECK_THROWS_WITH(with_model(Kind::input), sentence);
  CHECK_THROWS_WITH(with_model(Kind::readout), sentence);
  CHECK_THROWS_WITH(without_model(), sentence);
}

TEST_CASE_METHOD(Fixture, "projections that cannot be are refused", "[network]") {
  add("in", 3, Kind::input);
  add("hidden", 4, Kind::spiking);
  add("out", 2, Kind::readout);
  add("late", 2, Kind::spiking);
  add("late input", 2, Kind::input);
  const auto project = [&](std::size_t source, std::size_t target) {
    network.add_projection("p", source, target);
  };

  CHECK_THROWS_AS(project(0, 5), std::invalid_argument);
  CHECK_THROWS_WITH(project(0, 5), "projection 'p' joins a population that does not exist");
  CHECK_THROWS_WITH(project(5, 0), "projection 'p' joins a population that does not exist");
  CHECK_THROWS_AS(project(1, 0), std::invalid_argument);
  CHECK_THROWS_WITH(project(1, 0), "projection 'p' leads back to an earlier population");
  CHECK_THROWS_WITH(project(1, 1), "projection 'p' starts at 'hidden', which no earlier projection reaches");
  CHECK_THROWS_AS(project(2, 3), std::invalid_argument);
  CHECK_THROWS_WITH(project(2, 3), "projection 'p' starts at a read-out");
  CHECK_THROWS_AS(project(1, 4), std::invalid_argument);
  CHECK_THROWS_WITH(project(1, 4), "projection 'p' ends at 'late input', whose output is given");
  CHECK(network.projections().empty());

  project(0, 1);
  CHECK_THROWS_WITH(network.add_projection("p", 0, 1, std::make_unique<Dense>(3, 5)),
                    "projection 'p' connects 3 neurons to 5, where the populations have 3 and 4");
  CHECK_THROWS_WITH(network.add_projection("p", 0, 1, std::make_unique<Dense>(4, 4)),
                    "projection 'p' connects 4 neurons to 4, where the populations have 3 and 4");
  CHECK(network.projections().size() == 1);

  CHECK(network.recurrent_projection(1) == nullptr);
  network.add_projection("onto itself", 1, 1);
  REQUIRE(network.recurrent_projection(1) != nullptr);
  CHECK(network.recurrent_projection(1)->name == "onto itself");
  CHECK(network.recurrent_projection(0) == nullptr);
  CHECK_THROWS_WITH(project(1, 1), "population 'hidden' has two projections onto itself");
}

TEST_CASE_METHOD(Fixture, "projections are added in feed-forward order", "[network]") {
  add("in", 3, Kind::input);
  add("first", 3, Kind::spiking);
  add("second", 3, Kind::spiking);
  CHECK_THROWS_WITH(network.add_projection("early", 1, 2),
                    "projection 'early' starts at 'first', which no earlier projection reaches");
  network.add_projection("to_first", 0, 1);
  CHECK_NOTHROW(network.add_projection("to_second", 1, 2));
  CHECK_THROWS_WITH(network.add_projection("late", 0, 1),
                    "projection 'late' reaches 'first', from which an earlier one starts");
  CHECK_NOTHROW(network.add_projection("past_first", 0, 2));
  CHECK(network.projections_to(2) == std::vector<std::size_t>{1, 2});
  CHECK(network.projections_from(0) == std::vector<std::size_t>{0, 2});
  CHECK(network.projections_from(2).empty());
}

TEST_CASE_METHOD(Fixture, "a complete network has one input, one read-out and no loose ends", "[network]") {
  CHECK_THROWS_AS(network.check_complete(), std::invalid_argument);
  CHECK_THROWS_WITH(network.check_complete(), "a network has exactly one input population");
  const std::size_t in = add("in", 3, Kind::input);
  CHECK_THROWS_AS(network.check_complete(), std::invalid_argument);
  CHECK_THROWS_WITH(network.check_complete(), "a network has exactly one read-out population");
  const std::size_t hidden = add("hidden", 4, Kind::spiking);
  const std::size_t out = add("out", 2, Kind::readout);
  CHECK_THROWS_AS(network.check_complete(), std::invalid_argument);
  CHECK_THROWS_WITH(network.check_complete(), "no projection reaches population 'hidden'");
  network.add_projection("first", in, hidden);
  CHECK_THROWS_WITH(network.check_complete(), "no projection reaches population 'out'");
  network.add_projection("second", hidden, out);
  CHECK_NOTHROW(network.check_complete());

  add("in too", 3, Kind::input);
  CHECK_THROWS_WITH(network.check_complete(), "a network has exactly one input population");
}

TEST_CASE_METHOD(Fixture, "a network has one read-out", "[network]") {
  const std::size_t in = add("in", 3, Kind::input);
  network.add_projection("first", in, add("out", 2, Kind::readout));
  network.add_projection("second", in, add("out too", 2, Kind::readout));
  CHECK_THROWS_WITH(network.check_complete(), "a network has exactly one read-out population");
}

TEST_CASE_METHOD(Fixture, "weights begin uniform within one over the root of the fan-in", "[network]") {
  add("in", 400, Kind::input);
  add("hidden", 100, Kind::spiking);
  add("out", 100, Kind::readout);
  network.add_projection("first", 0, 1);
  network.add_projection("second", 1, 2);
  network.initialise_weights(1);
  const std::vector<float> first = downloaded(*backend, network.projections()[0].weights);
  const std::vector<float> second = downloaded(*backend, network.projections()[1].weights);
  const auto check_range = [](const std::vector<float>& weights, float bound) {
    const auto [least, largest] = std::minmax_element(weights.begin(), weights.end());
    CHECK(*least >= -bound);
    CHECK(*least < -0.99F * bound);
    CHECK(*largest <= bound);
    CHECK(*largest > 0.99F * bound);
    double sum = 0;
    for (const float weight : weights) sum += weight;
    const auto count = static_cast<double>(weights.size());
    CHECK(std::abs(sum) < 5 * bound * std::sqrt(count / 3));
  };
  check_range(first, 1.0F / 20.0F);
  check_range(second, 1.0F / 10.0F);
  // Each projection has a stream of its own, or one would be the other, doubled.
  CHECK(second[0] != Approx(2 * first[0]));

  network.initialise_weights(1);
  CHECK(downloaded(*backend, network.projections()[0].weights) == first);
  network.initialise_weights(2);
  CHECK(downloaded(*backend, network.projections()[0].weights) != first);
}

}  // namespace orthospike::testing
