#include "learning/subspaces/lateral_neurons.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

constexpr float scale = 20.0F;

std::vector<float> responses(Backend& backend, LateralNeurons& neurons, const std::vector<float>& currents) {
  auto values = uploaded(backend, currents);
  neurons.respond(values.matrix(1, currents.size()));
  return downloaded(backend, values);
}

}  // namespace

TEST_CASE("linear neurons answer with their currents", "[lateral_neurons]") {
  const auto backend = make_backend("cpu", 1);
  LinearNeurons neurons;
  const std::vector<float> currents = random_values(10, 1, -50.0F, 50.0F);
  CHECK(neurons.linear());
  CHECK(responses(*backend, neurons, currents) == currents);
}

TEST_CASE("quantised and spiking responses by hand", "[lateral_neurons]") {
  // Four steps, quanta of 0.5. The last three are ties: the formula rounds to even, the spikes away from 0.
  const LateralSettings settings{.scale = 2.0F, .steps = 4};
  const std::vector<float> currents = {0,     0.2F,   0.6F,  -0.7F, -0.8F, 1.9F,
                                       -2.0F, 300.0F, -2.1F, 0.25F, 0.75F, -1.25F};
  on_each_backend([&](Backend& backend) {
    QuantisedNeurons quantised(backend, settings);
    SpikingNeurons spiking(backend, settings);
    CHECK_FALSE(quantised.linear());
    CHECK_FALSE(spiking.linear());
    CHECK(responses(backend, quantised, currents) ==
          std::vector<float>{0, 0, 0.5F, -0.5F, -1, 2, -2, 2, -2, 0, 1, -1});
    CHECK(responses(backend, spiking, currents) ==
          std::vector<float>{0, 0, 0.5F, -0.5F, -1, 2, -2, 2, -2, 0.5F, 1, -1.5F});
    CHECK(spiking.spikes() == 0 + 0 + 1 + 1 + 2 + 4 + 4 + 4 + 4 + 1 + 2 + 3);
    CHECK(std::isnan(responses(backend, quantised, {not_a_number})[0]));
    CHECK(std::isnan(responses(backend, spiking, {not_a_number})[0]));
  });
}

TEST_CASE("the spikes of T_l steps sum to the quantised response", "[lateral_neurons]") {
  constexpr std::size_t count = 20'000;
  const std::vector<float> currents = random_values(count, 1, -1.2F * scale, 1.2F * scale);
  for (const std::size_t steps : {1U, 10U, 40U, 1000U}) {
    INFO(steps << " steps");
    on_each_backend([&](Backend& backend) {
      const LateralSettings settings{.scale = scale, .steps = steps};
      QuantisedNeurons quantised(backend, settings);
      SpikingNeurons spiking(backend, settings);
      const std::vector<float> formula = responses(backend, quantised, currents);
      const std::vector<float> population = responses(backend, spiking, currents);
      const double quantum = static_cast<double>(scale) / static_cast<double>(steps);
      std::size_t different = 0;
      double spikes = 0;
      for (std::size_t i = 0; i < count; ++i) {
        spikes += std::round(std::abs(population[i]) / quantum);
        if (formula[i] == population[i]) continue;
        ++different;
        const double exact = currents[i] / quantum;
        const double from_tie = std::abs(exact - std::floor(exact) - 0.5);
        CHECK(from_tie <= static_cast<double>(steps) * 0x1p-22);
        CHECK(std::abs(formula[i] - population[i]) == Approx(quantum).epsilon(1e-4));
      }
      CHECK(different <= count / 1000);
      // Constant currents: no neuron spikes with both signs, and saturated ones spike in every step.
      CHECK(static_cast<double>(spiking.spikes()) == spikes);
      const auto saturated = std::count_if(currents.begin(), currents.end(),
                                           [](float current) { return std::abs(current) >= scale; });
      CHECK(saturated > 0);
      CHECK(std::count_if(population.begin(), population.end(),
                          [](float y) { return std::abs(y) == scale; }) >= saturated);
    });
  }
}

TEST_CASE("lateral neurons are made by name", "[lateral_neurons]") {
  const auto backend = make_backend("reference", 1);
  const auto made = [&](const std::string& name) { return lateral_neurons().make(name, *backend); };
  CHECK(dynamic_cast<LinearNeurons*>(made("linear").get()) != nullptr);
  CHECK(dynamic_cast<QuantisedNeurons*>(made("quantised").get()) != nullptr);
  CHECK(dynamic_cast<SpikingNeurons*>(made("spiking").get()) != nullptr);
  CHECK_THROWS_AS(made("abacus"), ConfigError);
}

}  // namespace orthospike::testing
