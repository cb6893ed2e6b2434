#include "tests/conformance/surrogate_model.hpp"

namespace orthospike::testing {

TEST_CASE("iaf_psc_delta on every back end", "[conformance][iaf_psc_delta]") {
  const NeuronKinds<IafPscDelta> kinds = {
      {"driven by what arrives", {.decay = 0.9F, .threshold = 1.0F, .reset = -0.5F}},
      {"refractory", {.decay = 0.9F, .drive = 0.1F, .threshold = 1.0F, .refractory_steps = 3}},
      {"driven by a current", {.decay = 0.95F, .drive = 0.2F, .threshold = 2.0F, .refractory_steps = 1}}};
  check_steps(kinds);
  check_going_on(kinds);
}

TEST_CASE("iaf_psc_delta follows its equation", "[conformance][iaf_psc_delta]") {
  on_each_backend([](Backend& backend) {
    TestedPopulation<IafPscDelta> one(backend, {1, 1, 6});
    const auto currents = uploaded(backend, std::vector<float>{0.5F, 0.75F, 8.0F, 8.0F, 0.25F, 0.0F});
    one.run(backend,
            {.decay = 0.5F, .drive = 0.25F, .threshold = 1.0F, .reset = -2.0F, .refractory_steps = 2},
            currents.matrix(6, 1));
    // v: 0.75, 1.375 (spike), -2, -2 (what arrives is lost), -1 + 0.5, -0.25 + 0.25
    CHECK(downloaded(backend, one.each_state[0]) == std::vector<float>{0.75F, -2, -2, -2, -0.5F, 0});
    CHECK(downloaded(backend, one.each_state[1]) == std::vector<float>{0, 2, 1, 0, 0, 0});
    CHECK(downloaded_spikes(backend, one.spikes.view()) == EventLists{{}, {0}, {}, {}, {}, {}});
  });
}

}  // namespace orthospike::testing
