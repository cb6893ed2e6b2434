#include "sim/neurons/neuron_model.hpp"

#include <fmt/ranges.h>

#include "tests/conformance/backends.hpp"

namespace orthospike::testing {

TEST_CASE("an unknown neuron model is refused with the names of those that are known", "[neuron_model]") {
  const auto backend = make_backend("reference", 1);
  CHECK_THROWS_AS(neuron_models().make("abacus", *backend, Clock()), ConfigError);
  CHECK_THROWS_WITH(neuron_models().make("abacus", *backend, Clock()),
                    fmt::format("neuron.model: unknown name 'abacus'; expected one of {}",
                                fmt::join(neuron_models().names(), ", ")));
}

TEST_CASE("neuron models are found by their traits", "[neuron_model]") {
  const auto holds = [](const std::string& name, bool NeuronModel::Traits::*trait) {
    const bool found = std::ranges::count(neuron_models_with(trait), name) == 1;
    CHECK(std::ranges::count(neuron_models_with(trait, false), name) == (found ? 0 : 1));
    return found;
  };
  CHECK(holds("lif_dsr", &NeuronModel::Traits::has_weighted_averages));
  CHECK_FALSE(holds("lif_dsr", &NeuronModel::Traits::has_surrogate_derivative));
  for (const std::string name : {"lif", "if", "alif"}) {
    CHECK_FALSE(holds(name, &NeuronModel::Traits::has_weighted_averages));
    CHECK(holds(name, &NeuronModel::Traits::has_surrogate_derivative));
  }
}

TEST_CASE("alternatives in a sentence", "[neuron_model]") {
  CHECK(alternatives({"a"}) == "a");
  CHECK(alternatives({"a", "b"}) == "a or b");
  CHECK(alternatives({"a", "b", "c"}) == "a, b or c");
}

}  // namespace orthospike::testing
