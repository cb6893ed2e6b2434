#include "sim/simulation/simulation_config.hpp"

#include <map>

#include "kernels/error.hpp"
#include "sim/neurons/iaf_psc_delta_model.hpp"
#include "tests/catch.hpp"

namespace orthospike::testing {
namespace {

using Values = std::map<std::string, std::string>;

class Reader final : public SettingsVisitor {
 public:
  explicit Reader(Values values) : left(std::move(values)) {}
  Values left, meanings;

 private:
  void visit(const Key& key) override {
    meanings[key.name] = key.read ? key.get() : "not read";
    const auto found = left.find(key.name);
    if (found == left.end() || !key.read) return;
    key.set(found->second);
    left.erase(found);
  }
};

const Values small = {{"simulation.time", "20"},
                      {"simulation.warm_up", "5"},
                      {"simulation.dt", "0.5"},
                      {"population.E.size", "30"},
                      {"population.E.tau_m", "20"},
                      {"population.E.V_m", "normal(-60, 2)"},
                      {"population.inhibitory.size", "10"},
                      {"projection.E_to_I.source", "E"},
                      {"projection.E_to_I.target", "inhibitory"},
                      {"projection.E_to_I.rule", "fixed_indegree"},
                      {"projection.E_to_I.indegree", "12"},
                      {"projection.E_to_I.weight", "normal(1, 0.5) in [0, inf]"},
                      {"projection.E_to_I.delay", "1.5"},
                      {"poisson.drive.target", "E"},
                      {"poisson.drive.rate", "800"},
                      {"poisson.drive.weight", "0.5"}};

SimulationConfig read(const Values& values, Values* left = nullptr) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : values) keys.push_back(key);
  SimulationConfig config(keys);
  Reader reader(values);
  config.describe(reader);
  if (left != nullptr) *left = reader.left;
  return config;
}

std::string refusal(Values values, const std::string& key, const std::string& value) {
  values[key] = value;
  try {
    read(values).network();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("sections describe populations, projections and stimuli", "[simulation_config]") {
  Values left;
  const SimulationConfig config = read(small, &left);
  CHECK(left.empty());
  CHECK(config.steps() == 50);
  CHECK(config.warm_up_steps() == 10);
  const SimulatedNetwork network = config.network();
  REQUIRE(network.populations.size() == 2);
  CHECK(network.populations[0].name == "E");
  CHECK(network.populations[0].size == 30);
  CHECK(network.populations[0].potential == Distribution::parse("", "normal(-60, 2)"));
  Choice<NeuronModels> neuron = network.populations[0].neuron;
  CHECK(neuron.settings<IafPscDeltaModel::Settings>().tau_m == 20);
  CHECK(neuron.settings<IafPscDeltaModel::Settings>().refractory == 2);
  REQUIRE(network.projections.size() == 1);
  CHECK(network.projections[0].source == 0);
  CHECK(network.projections[0].target == 1);
  CHECK(network.projections[0].rule.kind == ConnectionRule::Kind::fixed_indegree);
  CHECK(network.projections[0].rule.number == 12);
  CHECK(network.projections[0].rule.autapses);
  CHECK(network.projections[0].weight.lowest == 0);
  REQUIRE(network.stimuli.size() == 1);
  CHECK(network.stimuli[0].target == 0);
  CHECK(network.stimuli[0].rate == 800);
}

TEST_CASE("what is wrong in a section is refused by the section's own key", "[simulation_config]") {
  CHECK(refusal(small, "simulation.dt", "0.5").empty());
  CHECK(refusal(small, "population.E.tau_m", "-1") == "population.E.tau_m: '-1' is not a number > 0");
  CHECK(refusal(small, "population.E.model", "iaf").starts_with("population.E.model: 'iaf' is not"));
  CHECK(refusal(small, "projection.E_to_I.rule", "all").starts_with("projection.E_to_I.rule: 'all' is not"));
  CHECK(refusal(small, "projection.E_to_I.source", "e").starts_with("projection.E_to_I.source: "));
  CHECK(refusal(small, "poisson.drive.target", "").starts_with("poisson.drive.target: "));
  CHECK(refusal(small, "projection.E_to_I.delay", "soon").starts_with("projection.E_to_I.delay: "));
  CHECK(refusal(small, "population.E.V_m", "normal(1)").starts_with("population.E.V_m: "));
  CHECK(refusal(small, "population.size", "3") ==
        "population.size: section [population] has no name; expected [population.NAME]");
  CHECK(refusal({{"simulation.time", "3"}}, "simulation.dt", "1").starts_with("there is no population"));
}

TEST_CASE("keys of other rules and of populations that there are not are not read", "[simulation_config]") {
  Values values = small, left;
  values["projection.E_to_I.outdegree"] = "3";
  values["population.E.tau"] = "3";
  read(values, &left);
  CHECK(left == Values{{"population.E.tau", "3"}, {"projection.E_to_I.outdegree", "3"}});
}

}  // namespace orthospike::testing
