#include "learning/nir/nir.hpp"

#include <fmt/format.h>
#include <hdf5.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <limits>

#include "kernels/error.hpp"
#include "learning/config.hpp"
#include "sim/hdf5_file.hpp"
#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

/// A network of 6 inputs, populations of 5 and 4 neurons and 3 logits, as a run of such settings stores it.
TrainedNetwork trained(const Settings& settings,
                       const MapShape& input = {.height = 1, .width = 2, .channels = 3}) {
  Config config;
  for (const auto& [key, value] : settings) config.set(key, value);
  config.network.hidden = {5, 4};
  config.data.mean = 0.3F;
  const auto backend = make_backend("reference", 1);
  Network network(*backend);
  config.network.build(network, input, 3, config.neuron, config.clock, 7);
  float trained = 0.11F;
  for (const Population& population : network.populations()) {
    if (population.neuron == nullptr || population.neuron->threshold().size() == 0) continue;
    backend->upload(std::span<const float>(&trained, 1), population.neuron->threshold());
    trained += 0.07F;
  }
  for (Projection& projection : network.projections()) {
    if (network.populations()[projection.source].kind != Population::Kind::bias) continue;
    std::vector<float> biases(projection.weights.size());
    for (float& bias : biases) bias = trained += 0.07F;
    backend->upload(std::span<const float>(biases), projection.weights.view());
  }
  TrainedNetwork result{.path = {},
                        .version = "1.2.3",
                        .git_revision = "abc",
                        .config = config_text(config),
                        .shape = input,
                        .mean = 0.3F,
                        .deviation = 0.3081F,
                        .tasks = {{"classes 0, 1", true}, {"class 2", false}},
                        .tasks_trained = 1,
                        .populations = {},
                        .projections = {}};
  store(network, config.neuron.name(), result);
  return result;
}

const Settings lif = {{"rule.name", "bptt"}, {"neuron.model", "lif"}, {"neuron.threshold", "0.7"}};

Settings with(Settings settings, const Settings& more) {
  settings.insert(settings.end(), more.begin(), more.end());
  return settings;
}

NirArray list(const std::vector<float>& values) {
  return {.shape = {values.size()}, .values = values};
}

/// Two inputs, a population of two neurons and two logits, as another program would write it.
NirGraph small() {
  const auto weight = [](const std::vector<float>& values) {
    return NirNode{.type = "Linear", .fields = {{"weight", {.shape = {2, 2}, .values = values}}}};
  };
  return {.path = "small.nir",
          .nodes = {{"input", {.type = "Input", .fields = {{"shape", list({2})}}}},
                    {"w1", weight({1, 2, 3, 4})},
                    {"cells",
                     {.type = "LIF",
                      .fields = {{"tau", list({0.002F, 0.002F})},
                                 {"r", list({20, 20})},
                                 {"v_leak", list({0, 0})},
                                 {"v_threshold", list({0.5F, 0.5F})},
                                 {"v_reset", list({0, 0})}}}},
                    {"w2", weight({5, 6, 7, 8})},
                    {"output", {.type = "Output", .fields = {{"shape", list({2})}}}}},
          .edges = {{"input", "w1"}, {"w1", "cells"}, {"cells", "w2"}, {"w2", "output"}},
          .metadata = {}};
}

/// The sentence with which a graph is refused, behind the name of its file; empty where it is taken.
std::string refusal(const NirGraph& graph, const std::vector<std::string>& arguments = {}) {
  try {
    from_nir(graph, arguments);
  } catch (const EnvironmentError& error) {
    const std::string sentence = error.what();
    CHECK(sentence.starts_with(graph.path.string()));
    return sentence.substr(graph.path.string().size());
  }
  return "";
}

/// That of the small graph after a change.
std::string refusal_after(const std::function<void(NirGraph&)>& change) {
  NirGraph graph = small();
  change(graph);
  return refusal(graph);
}

const std::vector<float>& weights(const TrainedNetwork& network, const std::string& projection) {
  return std::ranges::find(network.projections, projection, &TrainedNetwork::Weights::name)->values;
}

void check_near(const std::vector<float>& found, const std::vector<float>& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == Approx(expected[i]).epsilon(1e-6));
}

float value(const NirGraph& graph, const std::string& node, const std::string& field, std::size_t i = 0) {
  return graph.nodes.at(node).fields.at(field).values.at(i);
}

TEST_CASE("neurons become nodes whose equations with a step of forward Euler are theirs", "[nir]") {
  const double dt = 0.05e-3;
  const NirGraph leaky = to_nir(trained(lif));
  CHECK(leaky.nodes.at("hidden1").type == "LIF");
  CHECK(leaky.nodes.at("hidden1").fields.at("tau").values == std::vector<float>(5, 1e-3F));
  CHECK(value(leaky, "hidden1", "r") * dt / value(leaky, "hidden1", "tau") == Approx(1));
  CHECK(value(leaky, "hidden2", "v_threshold") == 0.7F);
  CHECK(value(leaky, "hidden2", "v_reset") == 0);
  CHECK(leaky.nodes.at("output").type == "Output");
  CHECK_FALSE(leaky.nodes.contains("readout"));

  const NirGraph cuba = to_nir(trained(with(lif, {{"neuron.synapse_tau", "0.4"}, {"neuron.tau", "2"}})));
  CHECK(cuba.nodes.at("hidden1").type == "CubaLIF");
  CHECK(value(cuba, "hidden1", "tau_syn") == Approx(0.4e-3));
  CHECK(value(cuba, "hidden1", "tau_mem") == Approx(2e-3));
  CHECK(value(cuba, "hidden1", "w_in") * dt / value(cuba, "hidden1", "tau_syn") == Approx(1));
  CHECK(value(cuba, "hidden1", "r") * dt / value(cuba, "hidden1", "tau_mem") == Approx(1));

  const NirGraph integrating = to_nir(trained({{"rule.name", "bptt"}, {"neuron.model", "if"}}));
  CHECK(integrating.nodes.at("hidden1").type == "IF");
  CHECK(value(integrating, "hidden1", "r") * dt == Approx(1));
  CHECK_FALSE(integrating.nodes.at("hidden1").fields.contains("tau"));

  const TrainedNetwork dsr = trained({{"neuron.tau", "2"}});
  const NirGraph graph = to_nir(dsr);
  CHECK(1 - dt / value(graph, "hidden1", "tau") == Approx(std::exp(-0.05 / 2)).epsilon(1e-7));
  CHECK(value(graph, "hidden1", "r") == 1);
  CHECK(value(graph, "hidden1", "v_threshold") == Approx(0.3 * 0.11));
  CHECK(value(graph, "hidden2", "v_threshold") - value(graph, "hidden2", "v_reset") == Approx(0.18));
  CHECK(value(graph, "input_to_hidden1", "weight", 1) == weights(dsr, "input_to_hidden1")[5]);
  CHECK(value(graph, "hidden1_to_hidden2", "weight", 1) ==
        Approx(weights(dsr, "hidden1_to_hidden2")[4] * 0.11 / 0.05));
  CHECK(std::get<std::vector<std::string>>(graph.metadata.at("reset")) == std::vector<std::string>{"soft"});
  const auto input = [](const Settings& settings) {
    return std::get<std::vector<std::string>>(to_nir(trained(settings)).metadata.at("input"))[0];
  };
  CHECK(input(lif).starts_with("(pixel - mean) / deviation of pixels from 0 to 1, in every step"));
  CHECK(input(with(lif, {{"data.scaling", "each"}})).find("by its own of each data set") !=
        std::string::npos);
  const NirGraph hard = to_nir(trained(with(lif, {{"neuron.reset", "hard"}})));
  CHECK(std::get<std::vector<std::string>>(hard.metadata.at("reset")) == std::vector<std::string>{"hard"});
}

TEST_CASE("a network comes back from its graph and from a file of it", "[nir]") {
  for (const Settings& settings :
       {lif, with(lif, {{"neuron.reset", "hard"}, {"neuron.tau", "1.7"}, {"neuron.dt", "0.3"}}),
        with(lif, {{"neuron.synapse_tau", "0.7"}, {"network.recurrent", "true"}, {"data.deviation", "auto"}}),
        with(lif, {{"network.recurrent", "true"}, {"network.readout_tau", "1.3"}, {"neuron.steps", "3"}}),
        Settings{{"rule.name", "eprop"}, {"neuron.model", "if"}, {"neuron.threshold", "1.1"}},
        with(lif, {{"network.recurrent", "true"}, {"network.readout_tau", "1.3"}, {"network.bias", "all"}}),
        with(lif, {{"network.bias", "readout"}}), with(lif, {{"data.scaling", "each"}}),
        Settings{{"network.bias", "all"}},
        Settings{{"neuron.tau", "1.3"}, {"neuron.firing_fraction", "0.37"}}, Settings{}}) {
    const TrainedNetwork network = trained(settings);
    const NirGraph graph = to_nir(network);
    INFO(network.config);
    const TemporaryFolder folder;
    write_nir(graph, folder.path() / "network.nir");
    const NirGraph read = read_nir(folder.path() / "network.nir");
    CHECK(read.nodes == graph.nodes);
    CHECK(read.edges == graph.edges);
    CHECK(read.metadata == graph.metadata);

    const auto [imported, assumptions] = from_nir(read, {});
    CHECK(assumptions.empty());
    TrainedNetwork expected = network;
    if (!network.populations.rbegin()[1].threshold.empty()) {
      // Folded weights keep a last place fewer.
      for (std::size_t p = 1; p < expected.projections.size(); ++p) {
        for (std::size_t i = 0; i < expected.projections[p].values.size(); ++i)
          CHECK(imported.projections[p].values[i] == Approx(expected.projections[p].values[i]).epsilon(2e-7));
        expected.projections[p].values = imported.projections[p].values;
      }
    }
    CHECK(imported == expected);
    CHECK(to_nir(imported).nodes == graph.nodes);
  }
}

TEST_CASE("maps are channel first in a graph", "[nir]") {
  const MapShape image{.height = 4, .width = 6, .channels = 3};
  const TrainedNetwork network =
      trained({{"network.layers", "4c3, lif, p2, 5c3s2p1, lif, 7, lif"}, {"network.bias", "all"}}, image);
  const NirGraph graph = to_nir(network);
  const auto field = [&](const std::string& node, const std::string& name) {
    return graph.nodes.at(node).fields.at(name);
  };
  CHECK(field("input", "shape") == NirArray{.shape = {3}, .values = {3, 4, 6}});
  CHECK(field("hidden1", "tau").shape == std::vector<std::size_t>{4, 4, 6});
  CHECK(field("hidden2", "tau").shape == std::vector<std::size_t>{5, 1, 2});
  CHECK(field("hidden3", "tau").shape == std::vector<std::size_t>{7});
  CHECK(graph.nodes.at("input_to_hidden1").type == "Conv2d");
  CHECK(field("input_to_hidden1", "input_shape").values == std::vector<float>{4, 6});
  CHECK(field("hidden1_to_hidden2", "input_shape").values == std::vector<float>{2, 3});
  CHECK(field("hidden1_to_hidden2", "stride").values == std::vector<float>{2, 2});
  CHECK(field("hidden1_to_hidden2", "padding").values == std::vector<float>{1, 1});
  CHECK(graph.nodes.at("hidden1_to_hidden2_pool").type == "AvgPool2d");
  CHECK(field("hidden1_to_hidden2_pool", "kernel_size").values == std::vector<float>{2, 2});
  CHECK(field("hidden2_to_hidden3_flatten", "input_type").values == std::vector<float>{5, 1, 2});
  CHECK(field("hidden1_to_hidden2", "bias").values == weights(network, "bias_to_hidden2"));
  CHECK(graph.nodes.at("hidden2_to_hidden3").type == "Affine");
  CHECK(graph.nodes.at("hidden3_to_readout").type == "Affine");
  using Edges = std::vector<std::pair<std::string, std::string>>;
  Edges edges = graph.edges;
  std::ranges::sort(edges);
  CHECK(edges == Edges{{"hidden1", "hidden1_to_hidden2_pool"},
                       {"hidden1_to_hidden2", "hidden2"},
                       {"hidden1_to_hidden2_pool", "hidden1_to_hidden2"},
                       {"hidden2", "hidden2_to_hidden3_flatten"},
                       {"hidden2_to_hidden3", "hidden3"},
                       {"hidden2_to_hidden3_flatten", "hidden2_to_hidden3"},
                       {"hidden3", "hidden3_to_readout"},
                       {"hidden3_to_readout", "output"},
                       {"input", "input_to_hidden1"},
                       {"input_to_hidden1", "hidden1"}});

  // [4 out, 3 in, 3 rows, 3 columns] from [3 rows, 3 columns, 3 in × 4 out]
  CHECK(field("input_to_hidden1", "weight").shape == std::vector<std::size_t>{4, 3, 3, 3});
  CHECK(value(graph, "input_to_hidden1", "weight", ((1 * 3 + 2) * 3 + 0) * 3 + 1) ==
        weights(network, "input_to_hidden1")[((0 * 3 + 1) * 3 + 2) * 4 + 1]);
  // [7 × 5 channels, 1 row, 2 columns] from [1 row, 2 columns, 5 channels × 7]
  CHECK(field("hidden2_to_hidden3", "weight").shape == std::vector<std::size_t>{7, 10});
  CHECK(value(graph, "hidden2_to_hidden3", "weight", 3 * 10 + 4 * 2 + 1) ==
        Approx(weights(network, "hidden2_to_hidden3")[(1 * 5 + 4) * 7 + 3] * 0.18 / 0.05));

  const TrainedNetwork imported = from_nir(graph, {}).network;
  CHECK(imported.config == network.config);
  CHECK(imported.shape == image);
  REQUIRE(imported.projections.size() == network.projections.size());
  for (std::size_t p = 0; p < network.projections.size(); ++p) {
    CHECK(imported.projections[p].name == network.projections[p].name);
    CHECK(imported.projections[p].presynaptic == network.projections[p].presynaptic);
    for (std::size_t i = 0; i < network.projections[p].values.size(); ++i)
      CHECK(imported.projections[p].values[i] == Approx(network.projections[p].values[i]).epsilon(2e-7));
  }
  CHECK(imported.populations == network.populations);
  CHECK(to_nir(imported).nodes == graph.nodes);
}

TEST_CASE("a convolution in groups has the weights of its channels in a graph and back", "[nir]") {
  TrainedNetwork network = trained({{"network.layers", "6c3g2, bn, lif"}, {"normalisation.epsilon", "1e-12"}},
                                   {.height = 4, .width = 5, .channels = 4});
  const std::vector<float> gains = {1, 2, 3, 4, 5, 6};
  for (TrainedNetwork::Neurons& neurons : network.populations) {
    if (neurons.normalisation.empty()) continue;
    std::ranges::copy(gains, neurons.normalisation.begin());
    std::fill(neurons.normalisation.end() - 6, neurons.normalisation.end(), 1.0F);
  }
  const NirGraph graph = to_nir(network);
  const NirNode& node = graph.nodes.at("input_to_hidden1");
  CHECK(node.fields.at("groups").values == std::vector<float>{2});
  CHECK(node.fields.at("weight").shape == std::vector<std::size_t>{6, 2, 3, 3});
  CHECK(node.fields.at("bias").values.size() == 6);
  // [6 out, 2 of the group's in, 3 rows, 3 columns] from [3 rows, 3 columns, 4 in × 3 of the group's out]
  const std::vector<float>& values = weights(network, "input_to_hidden1");
  for (std::size_t out = 0; out < 6; ++out) {
    for (std::size_t in = 0; in < 2; ++in) {
      for (std::size_t pixel = 0; pixel < 9; ++pixel)
        CHECK(node.fields.at("weight").values[(out * 2 + in) * 9 + pixel] ==
              Approx(values[(pixel * 4 + out / 3 * 2 + in) * 3 + out % 3] * gains[out]).epsilon(1e-5));
    }
  }
  const TrainedNetwork imported = from_nir(graph, {}).network;
  CHECK(values_by_key(imported.config, "imported")["network.layers"] == "6c3s1p1g2, lif");
  CHECK(weights(imported, "input_to_hidden1")[4] == Approx(values[4] * gains[1]).epsilon(1e-5));
}

TEST_CASE("a normalisation goes into the weights and biases of a graph", "[nir]") {
  TrainedNetwork network = trained({{"network.layers", "4c3, bn, lif, p2, 5, bn, lif"},
                                    {"network.bias", "readout"},
                                    {"normalisation.epsilon", "0.25"}},
                                   {.height = 4, .width = 4, .channels = 1});
  for (TrainedNetwork::Neurons& neurons : network.populations) {
    if (neurons.name == "hidden1")
      neurons.normalisation = {1, 2, 3, 4, 0.5F, 0, -1, 2, 0, 1, 2, -1, 2, 6, 0.75F, 0};
  }
  const NirGraph graph = to_nir(network);
  const auto of = [&](const std::string& field, std::size_t i) {
    return value(graph, "input_to_hidden1", field, i);
  };
  for (std::size_t c = 0; c < 4; ++c) {
    const double factors[] = {1 / 1.5, 2 / 2.5, 3.0, 4 / 0.5}, biases[] = {0.5, -2 / 2.5, -1 - 6, 2 + 8};
    CHECK(of("weight", 9 * c) == Approx(weights(network, "input_to_hidden1")[c] * factors[c]).epsilon(1e-6));
    CHECK(of("bias", c) == Approx(biases[c]).epsilon(1e-6));
  }
  // What comes back does the same without a normalisation.
  const TrainedNetwork imported = from_nir(graph, {}).network;
  CHECK(imported.config.find("bn") == std::string::npos);
  CHECK(weights(imported, "bias_to_hidden1")[3] == Approx(10));
  CHECK(std::ranges::all_of(imported.populations, [](const TrainedNetwork::Neurons& neurons) {
    return neurons.normalisation.empty();
  }));
}

/// A map of 2 channels of 4 × 4 pixels and 3 logits, as another program would write it.
NirGraph small_maps() {
  const auto sizes = [](const std::vector<float>& values) { return list(values); };
  const auto numbers = [](const std::vector<std::size_t>& shape, float first, float step) {
    NirArray result{.shape = shape, .values = {}};
    std::size_t size = 1;
    for (const std::size_t length : shape) size *= length;
    for (std::size_t i = 0; i < size; ++i) result.values.push_back(first + step * static_cast<float>(i));
    return result;
  };
  const std::vector<std::size_t> map = {2, 4, 4};
  return {.path = "maps.nir",
          .nodes = {{"input", {.type = "Input", .fields = {{"shape", sizes({1, 4, 4})}}}},
                    {"conv",
                     {.type = "Conv2d",
                      .fields = {{"weight", numbers({2, 1, 3, 3}, 0, 1)},
                                 {"stride", sizes({1, 1})},
                                 {"padding", sizes({1, 1})},
                                 {"dilation", sizes({1, 1})},
                                 {"groups", {.shape = {}, .values = {1}}},
                                 {"bias", sizes({0, 3})}}}},
                    {"cells",
                     {.type = "LIF",
                      .fields = {{"tau", numbers(map, 0.002F, 0)},
                                 {"r", numbers(map, 20, 0)},
                                 {"v_leak", numbers(map, 0, 0)},
                                 {"v_threshold", numbers(map, 0.5F, 0)}}}},
                    {"pool",
                     {.type = "AvgPool2d",
                      .fields = {{"kernel_size", sizes({2, 2})},
                                 {"stride", sizes({2, 2})},
                                 {"padding", sizes({0, 0})}}}},
                    {"flat",
                     {.type = "Flatten",
                      .fields = {{"start_dim", {.shape = {}, .values = {0}}},
                                 {"end_dim", {.shape = {}, .values = {-1}}}}}},
                    {"last", {.type = "Linear", .fields = {{"weight", numbers({3, 8}, 0, 1)}}}},
                    {"output", {.type = "Output", .fields = {{"shape", sizes({3})}}}}},
          .edges = {{"input", "conv"},
                    {"conv", "cells"},
                    {"cells", "pool"},
                    {"pool", "flat"},
                    {"flat", "last"},
                    {"last", "output"}},
          .metadata = {}};
}

TEST_CASE("convolutions and pooling come from a graph, or are refused by the name of the node", "[nir]") {
  const TrainedNetwork network = from_nir(small_maps(), {}).network;
  auto config = values_by_key(network.config, "imported");
  CHECK(config["network.layers"] == "2c3s1p1, lif, p2");
  CHECK(config["network.bias"] == "all");
  CHECK(weights(network, "input_to_hidden1") ==
        std::vector<float>{0, 9, 1, 10, 2, 11, 3, 12, 4, 13, 5, 14, 6, 15, 7, 16, 8, 17});
  CHECK(weights(network, "bias_to_hidden1") == std::vector<float>{0, 3});
  CHECK(weights(network, "bias_to_readout") == std::vector<float>{0, 0, 0});
  // [4 pixels, 2 channels × 3] from [3 × 2 channels, 4 pixels]
  CHECK(weights(network, "hidden1_to_readout") == std::vector<float>{0,  8,  16, 4,  12, 20, 1,  9,
                                                                     17, 5,  13, 21, 2,  10, 18, 6,
                                                                     14, 22, 3,  11, 19, 7,  15, 23});

  NirGraph graph = small_maps();
  auto& r = graph.nodes["cells"].fields["r"].values;
  std::fill(r.begin() + 16, r.end(), 40.0F);
  check_near(weights(from_nir(graph, {}).network, "input_to_hidden1"),
             {0, 18, 1, 20, 2, 22, 3, 24, 4, 26, 5, 28, 6, 30, 7, 32, 8, 34});
  // The same of groups of one channel each.
  NirGraph grouped = graph;
  grouped.nodes["input"].fields["shape"] = list({2, 4, 4});
  grouped.nodes["conv"].fields["groups"] = list({2});
  check_near(weights(from_nir(grouped, {}).network, "input_to_hidden1"),
             {0, 18, 1, 20, 2, 22, 3, 24, 4, 26, 5, 28, 6, 30, 7, 32, 8, 34});
  r[19] = 20;
  CHECK(refusal(graph).starts_with(
      ": node 'cells', of type LIF, has another r, w_in or v_threshold at pixel 3 of "
      "channel 1 than at the first"));

  // A Flatten before the neurons changes nothing: their values follow each other as those of a map do.
  graph = small_maps();
  graph.edges = {
      {"input", "conv"}, {"conv", "flat"}, {"flat", "cells"}, {"cells", "last"}, {"last", "output"}};
  graph.nodes.erase("pool");
  graph.nodes["last"].fields["weight"] = {.shape = {3, 32}, .values = std::vector<float>(96)};
  for (std::size_t i = 0; i < 96; ++i) graph.nodes["last"].fields["weight"].values[i] = static_cast<float>(i);
  for (auto& [name, array] : graph.nodes["cells"].fields) array.shape = {32};
  const TrainedNetwork flat = from_nir(graph, {}).network;
  CHECK(values_by_key(flat.config, "imported")["network.layers"] == "2c3s1p1, lif");
  CHECK(weights(flat, "input_to_hidden1") == weights(network, "input_to_hidden1"));
  const std::vector<float>& to_readout = weights(flat, "hidden1_to_readout");
  CHECK(std::vector<float>(to_readout.begin(), to_readout.begin() + 9) ==
        std::vector<float>{0, 32, 64, 16, 48, 80, 1, 33, 65});

  const auto refused = [](const std::string& node, const std::string& field, const NirArray& value) {
    NirGraph changed = small_maps();
    changed.nodes[node].fields[field] = value;
    const std::string sentence = refusal(changed), start = ": node '" + node + "', of type ";
    CHECK(sentence.starts_with(start));
    return sentence.substr(std::min(sentence.size(), start.size()));
  };
  CHECK(refused("conv", "stride", list({1, 2})) ==
        "Conv2d, has the stride [1, 2], expected the same size of at least 1 both ways");
  CHECK(refused("conv", "padding", list({-1, -1})) ==
        "Conv2d, has the padding [-1, -1], expected the same size of at least 0 both ways");
  CHECK(refused("conv", "dilation", list({2, 2})) == "Conv2d, has dilation, expected 1");
  CHECK(
      refused("conv", "groups", list({2})) ==
      "Conv2d, has the weight [2 × 1 × 3 × 3] and 2 groups, expected as many channels for each of them, [channels × 1 / "
      "groups × kernel × kernel]");
  CHECK(refused("conv", "bias", list({1})) == "Conv2d, has a bias of 1 values, expected 2");
  CHECK(
      refused("conv", "weight", {.shape = {2, 3, 1, 3}, .values = std::vector<float>(18)}) ==
      "Conv2d, has the weight [2 × 3 × 1 × 3] and 1 groups, expected as many channels for each of them, [channels × 1 / "
      "groups × kernel × kernel]");
  CHECK(refused("conv", "weight", {.shape = {2, 1, 9, 9}, .values = std::vector<float>(162)}) ==
        "Conv2d, has a kernel without a place in a map of 4 × 4 pixels");
  CHECK(refused("pool", "stride", list({1, 1})) ==
        "AvgPool2d, has padding, or a stride that is not its size, expected neither");
  CHECK(refused("pool", "padding", list({1, 1})) ==
        "AvgPool2d, has padding, or a stride that is not its size, expected neither");
  NirGraph odd = small_maps();
  odd.nodes["pool"].fields["kernel_size"] = odd.nodes["pool"].fields["stride"] = list({3, 3});
  CHECK(refusal(odd) == ": node 'pool', of type AvgPool2d, does not divide a map of 4 × 4 pixels");
  odd = small_maps();
  odd.edges = {{"input", "conv"}, {"conv", "pool"}, {"pool", "cells"},
               {"cells", "flat"}, {"flat", "last"}, {"last", "output"}};
  CHECK(refusal(odd) ==
        ": node 'pool', of type AvgPool2d, follows weights, 'conv', expected neurons between them");
  odd = small_maps();
  odd.nodes.erase("last");
  odd.edges = {{"input", "conv"}, {"conv", "cells"}, {"cells", "pool"}, {"pool", "flat"}, {"flat", "output"}};
  odd.nodes["output"].fields["shape"] = list({8});
  CHECK(refusal(odd) ==
        ": node 'output', of type Output, follows a map without weights between them, expected some");
  // Without pooling the map itself has an identity matrix, too, but for the order of its values.
  odd.nodes.erase("pool");
  odd.edges = {{"input", "conv"}, {"conv", "cells"}, {"cells", "flat"}, {"flat", "output"}};
  odd.nodes["output"].fields["shape"] = list({32});
  CHECK(refusal(odd) ==
        ": node 'output', of type Output, follows a map without weights between them, expected some");
  odd = small_maps();
  for (const char* name : {"pool", "flat", "last"}) odd.nodes.erase(name);
  odd.nodes["second"] = small_maps().nodes["conv"];
  odd.nodes["second"].fields["weight"] = {.shape = {1, 2, 4, 4}, .values = std::vector<float>(32)};
  odd.nodes["second"].fields["padding"] = list({0, 0});
  odd.nodes["second"].fields["bias"] = list({0});
  odd.nodes["output"].fields["shape"] = list({1});
  odd.edges = {{"input", "conv"}, {"conv", "cells"}, {"cells", "second"}, {"second", "output"}};
  CHECK(refusal(odd) ==
        ": node 'output', of type Output, is reached by a Conv2d, expected a Linear or Affine");
  odd = small_maps();
  odd.nodes["input"].fields["shape"] = list({1, 4, 2});
  odd.nodes["last"].fields["weight"] = {.shape = {3, 4}, .values = std::vector<float>(12)};
  for (auto& [name, array] : odd.nodes["cells"].fields) array.values.resize(16);
  CHECK(refusal(odd) ==
        ": node 'last', of type Linear, follows a pooled map that is no square, expected one");
  NirGraph twice = small_maps();
  twice.nodes["again"] = twice.nodes["pool"];
  twice.edges = {{"input", "conv"}, {"conv", "cells"}, {"cells", "pool"}, {"pool", "again"},
                 {"again", "flat"}, {"flat", "last"},  {"last", "output"}};
  twice.nodes["last"].fields["weight"] = {.shape = {3, 2}, .values = {0, 1, 2, 3, 4, 5}};
  const TrainedNetwork pooled = from_nir(twice, {}).network;
  CHECK(values_by_key(pooled.config, "imported")["network.layers"] == "2c3s1p1, lif, p4");
  CHECK(weights(pooled, "hidden1_to_readout") == std::vector<float>{0, 2, 4, 1, 3, 5});
  odd = small_maps();
  odd.nodes["back"] = {.type = "Linear",
                       .fields = {{"weight", {.shape = {32, 32}, .values = std::vector<float>(1024)}}}};
  odd.edges.insert(odd.edges.end(), {{"cells", "back"}, {"back", "cells"}});
  CHECK(refusal(odd) == ": node 'back', of type Linear, leads a map onto itself, which none does here");
}

TEST_CASE("what NIR does not have is not exported", "[nir]") {
  CHECK_THROWS_WITH(to_nir(trained({{"rule.name", "bptt"}, {"neuron.model", "alif"}})),
                    Catch::Matchers::Contains("neuron.model is alif, expected lif_dsr, lif or if"));
  CHECK_THROWS_WITH(
      to_nir(trained({{"rule.name", "bptt"}, {"neuron.model", "if"}, {"neuron.synapse_tau", "1"}})),
      Catch::Matchers::Contains("neuron.synapse_tau is 1 with the model if"));
  CHECK_THROWS_WITH(to_nir(trained(with(lif, {{"network.layers", "4, lif, 2c1, lif"}}))),
                    Catch::Matchers::Contains("a convolution of dense neurons, for which NIR has no node"));
  TrainedNetwork other = trained(lif);
  other.populations[1].model = "if";
  CHECK_THROWS_WITH(to_nir(other), Catch::Matchers::Contains("the network is not that of its config"));
}

TEST_CASE("constants of single neurons go into their weights", "[nir]") {
  // With the step of 0.1 ms that is assumed, r of 20 puts currents on the membrane as they are.
  const ImportedNetwork plain = from_nir(small(), {});
  CHECK(plain.network.projections[0].values == std::vector<float>{1, 3, 2, 4});
  CHECK(plain.network.projections[1].values == std::vector<float>{5, 7, 6, 8});
  CHECK(plain.network.populations[1].model == "lif");
  CHECK(plain.network.mean == 0);
  CHECK(plain.network.deviation == 1);
  CHECK(std::ranges::find(plain.assumptions, "neuron.dt = 0.1") != plain.assumptions.end());
  auto config = values_by_key(plain.network.config, "imported");
  CHECK(config["neuron.tau"] == "2");
  CHECK(config["neuron.threshold"] == "0.5");
  CHECK(config["neuron.reset"] == "hard");
  CHECK(config["network.hidden"] == "2");

  NirGraph graph = small();
  auto& fields = graph.nodes["cells"].fields;
  fields["r"] = list({40, 20});
  fields["v_threshold"] = list({0.5F, 2});
  ImportedNetwork imported = from_nir(graph, {});
  check_near(imported.network.projections[0].values, {2, 0.75F, 4, 1});

  graph.nodes["w3"] = {
      .type = "Affine",
      .fields = {{"weight", {.shape = {2, 2}, .values = {1, 2, 3, 4}}}, {"bias", list({0, 0})}}};
  graph.edges.insert(graph.edges.end(), {{"cells", "w3"}, {"w3", "cells"}});
  imported = from_nir(graph, {});
  check_near(weights(imported.network, "hidden1_to_hidden1"), {2, 0.75F, 4, 1});
  CHECK(values_by_key(imported.network.config, "imported")["network.bias"] == "none");

  graph.nodes["w1"].type = "Affine";
  graph.nodes["w1"].fields["bias"] = list({10, 20});
  imported = from_nir(graph, {});
  CHECK(values_by_key(imported.network.config, "imported")["network.bias"] == "all");
  check_near(weights(imported.network, "bias_to_hidden1"), {20, 5});
  check_near(weights(imported.network, "bias_to_readout"), {0, 0});

  graph = small();
  graph.nodes["cells"].type = "CubaLIF";
  auto& cuba = graph.nodes["cells"].fields;
  cuba["tau_mem"] = cuba["tau"];
  cuba["tau_syn"] = list({0.001F, 0.001F});
  cuba["w_in"] = list({10, 30});
  imported = from_nir(graph, {});
  CHECK(imported.network.projections[0].values[0] == Approx(1));
  CHECK(imported.network.projections[0].values[1] == Approx(9));
  CHECK(values_by_key(imported.network.config, "imported")["neuron.synapse_tau"] == "1");

  graph = small();
  graph.nodes["cells"].type = "IF";
  graph.nodes["cells"].fields["r"] = list({10000, 5000});
  imported = from_nir(graph, {"--neuron.dt=0.2"});
  check_near(imported.network.projections[0].values, {2, 3, 4, 4});
}

TEST_CASE("a graph without weights before its output, or with neurons there, has an identity", "[nir]") {
  NirGraph graph = small();
  graph.nodes.erase("w2");
  graph.edges = {{"input", "w1"}, {"w1", "cells"}, {"cells", "output"}};
  CHECK(from_nir(graph, {}).network.projections[1].values == std::vector<float>{1, 0, 0, 1});
  graph.nodes["output"].type = "LI";
  graph.nodes["output"].fields = {
      {"tau", list({0.001F, 0.001F})}, {"r", list({10, 20})}, {"v_leak", list({0, 0})}};
  graph.nodes["end"] = {.type = "Output", .fields = {{"shape", list({2})}}};
  graph.edges.emplace_back("output", "end");
  const TrainedNetwork network = from_nir(graph, {}).network;
  check_near(network.projections[1].values, {1, 0, 0, 2});
  CHECK(values_by_key(network.config, "imported")["network.readout_tau"] == "1");
}

TEST_CASE("images of NIR have their channels first", "[nir]") {
  NirGraph graph = small();
  graph.nodes["input"].fields["shape"] = list({2, 1, 3});
  graph.nodes["flat"] = {
      .type = "Flatten",
      .fields = {{"start_dim", {.shape = {}, .values = {0}}}, {"end_dim", {.shape = {}, .values = {-1}}}}};
  graph.nodes["w1"].fields["weight"] = {.shape = {2, 6},
                                        .values = {0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15}};
  CHECK(refusal(graph) ==
        ": node 'w1', of type Linear, follows values of the shape [2 × 1 × 3], expected a Flatten "
        "between them");
  graph.edges.front() = {"input", "flat"};
  graph.edges.emplace_back("flat", "w1");
  const TrainedNetwork network = from_nir(graph, {}).network;
  CHECK(network.shape == MapShape{.height = 1, .width = 3, .channels = 2});
  CHECK(network.projections[0].values == std::vector<float>{0, 10, 3, 13, 1, 11, 4, 14, 2, 12, 5, 15});
}

TEST_CASE("a graph that no network here can be is refused by the name of the node", "[nir]") {
  CHECK(refusal(small()).empty());
  CHECK(
      refusal_after([](NirGraph& graph) { graph.nodes["w1"].type = "SumPool2d"; }) ==
      ": node 'w1', of type SumPool2d, is none of Input, Output, Flatten, Linear, Affine, Conv2d, AvgPool2d, LIF, IF, "
      "CubaLIF, LI");
  CHECK(refusal_after([](NirGraph& graph) { graph.nodes["w1"].type = "Conv2d"; }) ==
        ": node 'w1', of type Conv2d, follows values of the shape [2], expected [channels × height × width]");
  CHECK(refusal_after([](NirGraph& graph) {
          graph.nodes["w1"].fields["weight"].shape = {4, 1};
        }) == ": node 'w1', of type Linear, has the weight [4 × 1], expected [targets × 2]");
  CHECK(refusal_after([](NirGraph& graph) { graph.edges.emplace_back("w2", "nowhere"); }) ==
        ": an edge leads from 'w2' to 'nowhere', and there is no node 'nowhere'");
  CHECK(refusal_after([](NirGraph& graph) {
          graph.nodes["w1"].type = "Affine";
          graph.nodes["w1"].fields["bias"] = list({0, 1, 0});
        }) == ": node 'w1', of type Affine, has a bias of 3 values, expected 2");
  CHECK(refusal_after([](NirGraph& graph) {
          graph.nodes["w3"] = graph.nodes["w1"];
          graph.nodes["w3"].type = "Affine";
          graph.nodes["w3"].fields["bias"] = list({0, 1});
          graph.edges.insert(graph.edges.end(), {{"cells", "w3"}, {"w3", "cells"}});
        }) ==
        ": node 'w3', of type Affine, has a bias, expected none of a projection of neurons onto themselves");
  const auto field = [](const std::string& name, const std::vector<float>& values) {
    return refusal_after([&](NirGraph& graph) { graph.nodes["cells"].fields[name] = list(values); });
  };
  const std::string cells = ": node 'cells', of type LIF, ";
  CHECK(field("tau", {0.002F, 0.003F}) ==
        cells + "has tau 0.003 of neuron 1, expected 0.002: all hidden neurons have the same time constants");
  CHECK(field("tau", {0.002F, -1}) == cells + "has tau -1 of neuron 1, expected more than 0");
  CHECK(field("tau", {0.00001F, 0.00001F}) ==
        cells + "has tau 1e-05, expected at least the step, 0.0001 (neuron.dt)");
  CHECK(field("tau", {0.002F}) == cells + "has 1 values 'tau', expected 2");
  CHECK(field("v_leak", {0, 0.1F}) ==
        cells + "has v_leak 0.1 of neuron 1, expected 0: neurons here rest at 0");
  CHECK(field("v_reset", {-1, 0}) ==
        cells + "has v_reset -1 of neuron 0, expected 0: neurons here are reset to 0, or by their threshold");
  CHECK(field("v_threshold", {1, 0}) == cells + "has v_threshold 0 of neuron 1, expected more than 0");
  CHECK(refusal_after([](NirGraph& graph) { graph.nodes["cells"].fields.erase("r"); }) ==
        cells + "has no numbers 'r'");
  CHECK(refusal_after([](NirGraph& graph) {
          graph.nodes["cells"].fields["r"] = list({3e38F, 3e38F});
          graph.nodes["cells"].fields["v_threshold"] = list({1, 0.001F});
        }).ends_with("beyond single precision once r, w_in and v_threshold are in them"));

  CHECK(refusal_after([](NirGraph& graph) {
          graph.edges.emplace_back("w1", "w2");
        }).starts_with(": node 'w1', of type Linear, leads to 2 nodes, expected one"));
  CHECK(refusal_after([](NirGraph& graph) {
          graph.edges.back() = {"w2", "w1"};
        }).starts_with(": node 'w1', of type Linear, has the sources 'input' and 'w2'"));
  CHECK(refusal_after([](NirGraph& graph) { graph.nodes["other"] = graph.nodes["w1"]; }) ==
        ": node 'other', of type Linear, is not on the way from the input to the output");
  CHECK(refusal_after([](NirGraph& graph) { graph.nodes["cells"] = graph.nodes["w1"]; }) ==
        ": node 'cells', of type Linear, follows weights, 'w1', expected neurons between them");
  CHECK(refusal_after([](NirGraph& graph) { graph.nodes["output"].fields["shape"] = list({3}); }) ==
        ": node 'output', of type Output, has the shape [3], expected 2 values");
  CHECK(refusal_after([](NirGraph& graph) { graph.nodes["input"].fields["shape"] = list({2.5F}); }) ==
        ": node 'input', of type Input, has 2.5 among 'shape', expected sizes");
  CHECK(refusal_after([](NirGraph& graph) {
          graph.nodes["input"].fields["shape"] = list({4096, 4096, 4096});
        }).starts_with(": node 'input', of type Input, has the shape [4096 × 4096 × 4096]"));
  CHECK(refusal_after([](NirGraph& graph) { graph.nodes["w2"].type = "Input"; }) ==
        ": there are 2 nodes of type Input, expected one");
  CHECK(refusal_after([](NirGraph& graph) {
          graph.edges = {{"input", "w1"}, {"w1", "output"}};
          for (const char* name : {"cells", "w2"}) graph.nodes.erase(name);
        }) == ": there is no spiking population before the read-out");
  CHECK(refusal_after([](NirGraph& graph) {
          graph.edges.clear();
        }).starts_with(": node 'input', of type Input, leads to 0"));
}

TEST_CASE("metadata and the command line say what a graph does not", "[nir]") {
  NirGraph graph = small();
  graph.metadata = {{"dt", std::vector{0.0002}},
                    {"steps", std::vector{7.0}},
                    {"mean", std::vector{0.5}},
                    {"deviation", std::vector{0.25}},
                    {"time_unit", std::vector<std::string>{"s"}},
                    {"reset", std::vector<std::string>{"soft"}},
                    {"input_shape", std::vector{1.0, 2.0, 1.0}}};
  const auto [network, assumptions] = from_nir(graph, {"--neuron.steps=9"});
  auto config = values_by_key(network.config, "imported");
  CHECK(config["neuron.dt"] == "0.2");
  CHECK(config["neuron.steps"] == "9");
  CHECK(config["data.mean"] == "0.5");
  CHECK(config["neuron.reset"] == "soft");
  CHECK(network.mean == 0.5F);
  CHECK(network.shape == MapShape{.height = 2, .width = 1});
  CHECK(
      std::ranges::none_of(assumptions, [](const std::string& what) { return what.starts_with("neuron."); }));

  const auto entry = [&](const std::string& name, const NirMetadata& value) {
    NirGraph changed = graph;
    changed.metadata[name] = value;
    return refusal(changed);
  };
  CHECK(entry("reset", std::vector<std::string>{"gentle"}) ==
        ": /node/metadata/reset is 'gentle', expected 'soft' or 'hard'");
  CHECK(entry("time_unit", std::vector<std::string>{"h"}) ==
        ": /node/metadata/time_unit is 'h', expected 's' or 'ms'");
  CHECK(entry("dt", std::vector{-1.0}).starts_with(": /node/metadata/dt is -1, expected "));
  CHECK(entry("deviation", std::vector{std::numeric_limits<double>::quiet_NaN()})
            .starts_with(": /node/metadata/deviation is nan"));
  CHECK(entry("config", std::vector<std::string>{"[neuron\n"}).starts_with("/node/metadata/config:1: "));
  graph.metadata["time_unit"] = std::vector<std::string>{"ms"};
  config = values_by_key(from_nir(graph, {}).network.config, "imported");
  CHECK(config["neuron.dt"] == "0.0002");
  CHECK(config["neuron.tau"] == "0.002");
  graph.metadata["time_unit"] = std::vector<std::string>{"s"};

  CHECK_THROWS_AS(from_nir(graph, {"--neuron.tau=3"}), ConfigError);
  CHECK_THROWS_WITH(from_nir(graph, {"--network.hidden=3"}),
                    Catch::Matchers::Contains("network.hidden: it is the graph's own"));
  CHECK_THROWS_AS(from_nir(graph, {"--neuron.steps=0"}), ConfigError);

  NirGraph dsr = to_nir(trained({}));
  dsr.path = "dsr.nir";
  dsr.nodes["hidden2"].fields["tau"].values[2] = 1;
  CHECK(refusal(dsr).starts_with(": node 'hidden2', of type LIF, has tau 1 of neuron 2, expected "));
  dsr = to_nir(trained({}));
  dsr.metadata["dt"] = std::vector{0.1e-3};  // other decays than those in the graph
  CHECK(refusal(dsr).find("has r") == std::string::npos);
  CHECK(refusal(dsr).find("tau") != std::string::npos);
}

std::string file_refusal(const std::filesystem::path& path) {
  try {
    read_nir(path);
  } catch (const EnvironmentError& error) {
    const std::string sentence = error.what();
    CHECK(sentence.starts_with(path.string() + ": "));
    CHECK(sentence.find('\n') == std::string::npos);
    return sentence.substr(path.string().size() + 2);
  }
  return "";
}

TEST_CASE("a file that is no NIR graph is refused in a sentence", "[nir]") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "some.nir";
  CHECK(file_refusal(path) == "there is no such file");
  const auto written = [&](const std::function<void(Hdf5File&)>& fill) {
    Hdf5File file = Hdf5File::create(path);
    fill(file);
    file.close();
    return file_refusal(path);
  };
  CHECK(written([](Hdf5File& file) { file.add_text("/version", "1"); }) ==
        "an HDF5 file, but no NIR graph: there is no /node");
  const auto with_node = [&](const std::function<void(Hdf5File&)>& fill) {
    return written([&](Hdf5File& file) {
      file.add_text("/node/type", "NIRGraph");
      file.add_texts("/node/edges", {1, 2}, {"a", "b"});
      fill(file);
    });
  };
  CHECK(with_node([](Hdf5File& file) { file.add_text("/node/nodes/a/type", "I"); }).empty());
  CHECK(with_node([](Hdf5File& file) { file.add_text("/node/nodes/a", "I"); }) ==
        "/node/nodes/a is no group, expected a node");
  CHECK(with_node([](Hdf5File& file) { file.add<float>("/node/nodes/a/tau", {1}, 0); }) ==
        "there is no /node/nodes/a/type");
  CHECK(with_node([](Hdf5File& file) { file.add<float>("/node/nodes/a/type", {}, 0); }) ==
        "/node/nodes/a/type is no text, expected one");
  CHECK(with_node([](Hdf5File& file) {
          file.add_text("/node/nodes/a\nb/type", "I");
        }).starts_with("an object in /node/nodes is a name that is too long or not of printable characters"));
  CHECK(with_node([](Hdf5File& file) {
          file.add_text("/node/nodes/a/type", "I");
          file.add<double>("/node/nodes/a/r", {2}, 1e300);
          file.write_rows<double>("/node/nodes/a/r", 0, std::vector{1.0, 1e300});
        }) == "/node/nodes/a/r, element 1 is inf, expected a finite number");
  // Nothing of it is stored: 2 GiB that a few bytes claim.
  CHECK(with_node([](Hdf5File& file) {
          file.add_text("/node/nodes/a/type", "I");
          file.add<float>("/node/nodes/a/r", {1 << 14, 1 << 15}, 0);
        }) == "/node/nodes/a/r claims 536870912 values, expected no more than its 0 bytes can hold");
  CHECK(written([](Hdf5File& file) {
          file.add_text("/node/type", "LIF");
          file.add_text("/node/nodes/a/type", "I");
          file.add_texts("/node/edges", {1, 2}, {"a", "b"});
        }) == "/node/type is 'LIF', expected 'NIRGraph'");
  CHECK(written([](Hdf5File& file) {
          file.add_text("/node/type", "NIRGraph");
          file.add_text("/node/nodes/a/type", "I");
          file.add_texts("/node/edges", {2}, {"a", "b"});
        }).starts_with("/node/edges is [2], expected names of sources and targets, [edges × 2]"));
}

TEST_CASE("links out of a NIR file are not followed", "[nir]") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "some.nir", other = folder.path() / "other.h5";
  write_nir(small(), path);
  std::filesystem::copy(path, other);
  {
    const Hdf5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
    REQUIRE(H5Lcreate_external(other.c_str(), "/node/nodes/cells/r", file.get(), "/node/nodes/cells/s",
                               H5P_DEFAULT, H5P_DEFAULT) >= 0);
  }
  CHECK(file_refusal(path) == "cannot list up to 64 objects of this file in /node/nodes/cells");
}

TEST_CASE("whatever is damaged in a NIR file, reading it ends with a graph or a sentence", "[nir]") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "some.nir";
  write_nir(small(), path);
  std::vector<std::uint8_t> whole(std::filesystem::file_size(path));
  std::ifstream(path, std::ios::binary)
      .read(reinterpret_cast<char*>(whole.data()), static_cast<std::streamsize>(whole.size()));
  for (std::size_t length = 0; length < whole.size(); length += whole.size() / 20) {
    INFO(length);
    CHECK_FALSE(file_refusal(folder.write("some.nir", std::span(whole).first(length))).empty());
  }
  std::size_t refused = 0;
  for (std::size_t place = 0; place < whole.size(); place += whole.size() / 60) {
    std::vector<std::uint8_t> damaged = whole;
    damaged[place] ^= 0xffU;
    refused += file_refusal(folder.write("some.nir", damaged)).empty() ? 0 : 1;
  }
  CHECK(refused > 20);
}

TEST_CASE("where the HDF5 library crashes or never ends, there is a sentence", "[nir]") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "some.nir";
  {
    // Texts of variable length, as the package writes them, the heap of which the library does not check.
    const Hdf5Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
    const Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(type.get(), H5T_VARIABLE);
    const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
    const Hdf5Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
    H5Pset_create_intermediate_group(links.get(), 1);
    for (const auto& [object, text] :
         {std::pair{"/node/type", "NIRGraph"}, std::pair{"/node/nodes/a/type", "the text of a node's type"},
          std::pair{"/node/edges", "none"}}) {
      const Hdf5Handle set(
          H5Dcreate2(file.get(), object, type.get(), space.get(), links.get(), H5P_DEFAULT, H5P_DEFAULT),
          H5Dclose);
      REQUIRE(H5Dwrite(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, &text) >= 0);
    }
  }
  std::vector<std::uint8_t> whole(std::filesystem::file_size(path));
  std::ifstream(path, std::ios::binary)
      .read(reinterpret_cast<char*>(whole.data()), static_cast<std::streamsize>(whole.size()));
  CHECK(file_refusal(path).starts_with("/node/edges is ["));
  const std::string heap = "GCOL";
  const auto start = std::ranges::search(whole, heap).begin() - whole.begin();
  whole[static_cast<std::size_t>(start) + 24] = 0xff;  // the size of the first text in it
  CHECK(file_refusal(folder.write("some.nir", whole)).starts_with("damaged, such that the HDF5 library "));
}

TEST_CASE("the old NIR file stays until the new one is whole", "[nir]") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "some.nir";
  write_nir(small(), path);
  std::filesystem::create_directory(folder.path() / "some.nir.partial");  // in the way of the new one
  NirGraph other = small();
  other.nodes.erase("w1");
  CHECK_THROWS_AS(write_nir(other, path), EnvironmentError);
  CHECK(read_nir(path).nodes == small().nodes);
}

}  // namespace
}  // namespace orthospike::testing
