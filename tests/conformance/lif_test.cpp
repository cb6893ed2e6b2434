#include "tests/conformance/surrogate_model.hpp"

namespace orthospike::testing {
namespace {

/// Neurons of every kind that a network can hold.
NeuronKinds<Lif> kinds() {
  return {{"leaky, soft reset", {.decay = 0.5F, .threshold = 1.0F}},
          {"leaky, hard reset", {.decay = 0.5F, .threshold = 1.0F, .hard_reset = true}},
          {"not leaky", {.decay = 1.0F, .threshold = 1.0F}},
          {"current-based", {.decay = 0.8F, .threshold = 0.7F, .synapse_decay = 0.6F}},
          {"adaptive",
           {.decay = 0.8F,
            .threshold = 0.7F,
            .synapse_decay = 0.3F,
            .adaptation = 0.2F,
            .adaptation_decay = 0.95F}}};
}

}  // namespace

TEST_CASE("lif on every back end", "[conformance][lif]") {
  check_surrogate_model(kinds());
}

TEST_CASE("lif follows its equation", "[conformance][lif]") {
  on_each_backend([](Backend& backend) {
    TestedPopulation<Lif> one(backend, {1, 1, 4});
    const auto currents = uploaded(backend, std::vector<float>{1.0F, 0.5F, 0.25F, 2.0F});
    one.run(backend, {.decay = 0.5F, .threshold = 1.0F, .adaptation = 0.25F, .adaptation_decay = 0.5F},
            currents.matrix(4, 1));
    // v: 1 (spike), 0 + 0.5, 0.25 + 0.25, 0.25 + 2 (spike); a before the step: 0, 1, 0.5, 0.25.
    CHECK(downloaded(backend, one.margin) == std::vector<float>{0.0F, -0.75F, -0.625F, 1.1875F});
    CHECK(downloaded(backend, one.state[1]) == std::vector<float>{1.25F});
    CHECK(downloaded(backend, one.state[2]) == std::vector<float>{1.125F});
    CHECK(downloaded(backend, one.mean_output) == std::vector<float>{0.5F});
  });
}

}  // namespace orthospike::testing
