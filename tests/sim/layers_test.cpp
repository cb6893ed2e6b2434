#include "sim/layers.hpp"

#include <cmath>

#include "kernels/error.hpp"
#include "sim/layered_network.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

std::string refusal(const std::vector<std::string>& words, const MapShape& input = {8, 6, 3}) {
  try {
    layers_of(words, input);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("words say how populations follow each other", "[layers]") {
  const Layers layers =
      layers_of({"16c3", "lif", "p2", "32c5s2p1", "lif", "40", "lif", "7c1", "lif"}, {8, 12, 3});
  REQUIRE(layers.hidden.size() == 4);
  CHECK(layers.hidden[0].shape == MapShape{8, 12, 16});
  CHECK(layers.hidden[0].way.pooling == 1);
  CHECK(layers.hidden[0].way.window->map == MapShape{8, 12, 3});
  CHECK(layers.hidden[0].way.window->kernel == 3);
  CHECK(layers.hidden[0].way.window->stride == 1);
  CHECK(layers.hidden[0].way.window->padding == 1);
  CHECK(layers.hidden[1].way.pooling == 2);
  CHECK(layers.hidden[1].way.window->map == MapShape{4, 6, 16});
  CHECK(layers.hidden[1].way.window->stride == 2);
  CHECK(layers.hidden[1].way.window->padding == 1);
  CHECK(layers.hidden[1].shape == MapShape{1, 2, 32});
  CHECK_FALSE(layers.hidden[2].way.window);
  CHECK(layers.hidden[2].way.pooling == 1);
  CHECK(layers.hidden[2].shape == MapShape{1, 1, 40});
  CHECK(layers.hidden[3].shape == MapShape{1, 1, 7});
  CHECK(layers.to_readout.pooling == 1);

  CHECK(layers_of({"2c5", "lif"}, {8, 8, 1}).hidden[0].way.window->padding == 2);

  const Layers normalised = layers_of({"2c3", "bn", "lif", "4c3", "lif", "5", "bn", "lif"}, {8, 8, 1});
  CHECK(normalised.hidden[0].is_normalised);
  CHECK_FALSE(normalised.hidden[1].is_normalised);
  CHECK(normalised.hidden[2].is_normalised);

  // Pooling adds up, and may be of the input and before the read-out.
  const Layers pooled = layers_of({"p2", "4c3", "lif", "p2", "p2"}, {16, 16, 1});
  CHECK(pooled.hidden[0].way.pooling == 2);
  CHECK(pooled.hidden[0].shape == MapShape{8, 8, 4});
  CHECK(pooled.to_readout.pooling == 4);
  const auto readout = pooled.to_readout.connection(pooled.hidden[0].shape, {1, 1, 10});
  CHECK(readout->sources() == 8 * 8 * 4);
  CHECK(readout->presynaptic() == 2 * 2 * 4);
  CHECK(readout->targets() == 10);
  CHECK(readout->places() == 1);
}

TEST_CASE("words that are none, or have no place there, are refused by their number", "[layers]") {
  const std::string start = "network.layers: ";
  CHECK(refusal({"8c3", "lif"}).empty());
  for (const std::string word : {"8d3", "c3", "8c", "8c3s", "8c3s0", "8c0", "8c3p", "8c3s1p2x", "8c3g",
                                 "8c3g0", "8c3g2s1", "p", "p0", "0", "-3", "70000", "3.5", "LIF", "p2p2"})
    CHECK(refusal({"4", "lif", word}) ==
          start + "word 3, '" + word +
              "', is none of NcK, NcKsSpPgG, N, blockN, blockNsS, resnet18 N, bn, pK and lif");
  CHECK(refusal({"lif"}) == start + "word 1, 'lif', follows neither NcK nor N, whose neurons it would be");
  CHECK(refusal({"5", "lif", "lif"}).starts_with(start + "word 3"));
  CHECK(refusal({"5", "lif", "bn"}) ==
        start + "word 3, 'bn', follows neither NcK nor N, whose currents it would normalise");
  CHECK(refusal({"5", "bn", "bn", "lif"}) == start + "word 3, 'bn', follows another");
  CHECK(refusal({"5", "bn"}) == start + "word 2, 'bn', needs lif after it");
  CHECK(refusal({"5", "bn", "6"}) == start + "word 3, '6', needs lif before it");
  CHECK(refusal({"8c3", "p2"}) ==
        start + "word 2, 'p2', comes before the neurons whose spikes it would pool; put lif before it");
  CHECK(refusal({"8c3", "5"}) == start + "word 2, '5', needs lif before it");
  CHECK(refusal({"5", "8c3"}) == start + "word 2, '8c3', needs lif before it");
  CHECK(refusal({"5", "lif", "8c3"}) == start + "word 3, '8c3', needs lif after it");
  CHECK(refusal({"p2"}) == start + "there are no neurons; expected NcK or N and lif");
  CHECK(refusal({"8c3", "lif", "p4"}) == start + "word 3, 'p4', does not divide a map of 8 × 6 pixels");
  CHECK(refusal({"p2", "p2"}) == start + "word 2, 'p2', does not divide a map of 4 × 3 pixels");
  CHECK(refusal({"8c7p0", "lif"}) ==
        start + "word 1, '8c7p0', has a kernel without a place in a map of 8 × 6 pixels");
  CHECK(refusal({"8c3g2", "lif"}) ==
        start + "word 1, '8c3g2', has groups that do not divide 3 channels to 8");
  CHECK(refusal({"8c3", "lif", "6c3g4", "lif"}) ==
        start + "word 3, '6c3g4', has groups that do not divide 8 channels to 6");
  CHECK(refusal({"8c3", "lif", "p2", "9", "lif"}) ==
        start + "word 4, '9', joins all of a pooled map of 4 × 3 pixels, expected a square");
  CHECK(refusal({"8c3", "lif", "p2"}) ==
        start + "word 3, 'p2', joins all of a pooled map of 4 × 3 pixels, expected a square");
}

TEST_CASE("residual blocks carry currents on, or have a shortcut where shapes change", "[layers]") {
  const Layers layers = layers_of({"4c3", "block4", "block6s2", "bn", "lif", "p2"}, {7, 8, 1});
  REQUIRE(layers.hidden.size() == 5);
  for (const Layer& layer : layers.hidden) CHECK(layer.is_normalised);
  CHECK(layers.hidden[0].shape == MapShape{7, 8, 4});
  CHECK_FALSE(layers.hidden[0].carried);
  CHECK_FALSE(layers.hidden[1].carried);
  CHECK(layers.hidden[2].carried == 0U);
  CHECK_FALSE(layers.hidden[2].shortcut);
  CHECK(layers.hidden[3].way.window == Window{{7, 8, 4}, 3, 2, 1});
  CHECK(layers.hidden[3].shape == MapShape{4, 4, 6});
  CHECK_FALSE(layers.hidden[4].carried);
  REQUIRE(layers.hidden[4].shortcut);
  CHECK(layers.hidden[4].shortcut->source == 2);
  CHECK(layers.hidden[4].shortcut->way.window == Window{{7, 8, 4}, 1, 2, 0});
  CHECK(layers.hidden[4].way.window == Window{{4, 4, 6}, 3, 1, 1});
  CHECK(layers.to_readout.pooling == 2);

  // As the published network for 32 × 32 pixels.
  const Layers all = layers_of({"resnet18 20"}, {32, 32, 3});
  REQUIRE(all.hidden.size() == 17);
  CHECK(all == layers_of({"20c3", "block20", "block20", "block40s2", "block40", "block80s2", "block80",
                          "block160s2", "block160", "bn", "lif", "p4"},
                         {32, 32, 3}));
  CHECK(all.hidden[16].shape == MapShape{4, 4, 160});
  CHECK(all.hidden[16].carried == 14U);
  CHECK(all.hidden[4].carried == 2U);
  CHECK(all.hidden[6].shortcut);

  const std::string start = "network.layers: ";
  CHECK(refusal({"block4", "bn", "lif"}) ==
        start + "word 1, 'block4', follows neither NcK nor another block");
  CHECK(refusal({"5", "block4", "bn", "lif"}) ==
        start + "word 2, 'block4', follows neither NcK nor another block");
  CHECK(refusal({"4c3", "bn", "block4", "bn", "lif"}) ==
        start + "word 3, 'block4', begins with a bn of its own");
  CHECK(refusal({"4c3", "lif", "block4", "bn", "lif"}) ==
        start + "word 3, 'block4', follows neither NcK nor another block");
  CHECK(refusal({"4c3", "block4"}) == start + "word 2, 'block4', needs lif after it");
  CHECK(refusal({"4c3", "block4", "5"}) == start + "word 3, '5', needs lif before it");
  for (const std::string word :
       {"block", "block0", "block4s", "block4s0", "block4p1", "resnet18", "resnet18 0"})
    CHECK(refusal({"4c3", word}).find("is none of NcK") != std::string::npos);
}

TEST_CASE("currents that are carried on join populations that the block's projections do not", "[layers]") {
  const auto backend = make_backend("reference", 1);
  Network network(*backend);
  LayeredNetwork layered;
  layered.layers = {"4c3", "block4", "block6s2", "bn", "lif", "p2"};
  layered.biases = LayeredNetwork::Biases::all;
  layered.build(network, {7, 8, 1}, 3, Choice<NeuronModels>(neuron_models()), Clock(), 7);
  network.check_complete();
  std::vector<std::string> names;
  for (const Projection& projection : network.projections()) names.push_back(projection.name);
  CHECK(names == std::vector<std::string>{"input_to_hidden1", "hidden1_to_hidden2", "hidden2_to_hidden3",
                                          "hidden3_to_hidden4", "hidden4_to_hidden5", "hidden3_to_hidden5",
                                          "hidden5_to_readout", "bias_to_readout"});
  const auto& populations = network.populations();
  CHECK(populations[4].name == "hidden3");
  CHECK(populations[4].carried == 2U);
  CHECK(network.carriers(2) == std::vector<std::size_t>{4});
  CHECK(network.carriers(4).empty());
}

TEST_CASE("a network of layers starts from weights as wide as their kernels want", "[layers]") {
  const auto backend = make_backend("cpu", 1);
  Network network(*backend);
  LayeredNetwork layered;
  layered.layers = {"32c3", "lif", "p2", "64c3", "lif", "p2"};
  layered.biases = LayeredNetwork::Biases::readout;
  layered.build(network, {16, 16, 3}, 10, Choice<NeuronModels>(neuron_models()), Clock(), 7);
  const auto& projections = network.projections();
  REQUIRE(projections.size() == 4);
  CHECK(projections[0].name == "input_to_hidden1");
  CHECK(projections[1].name == "hidden1_to_hidden2");
  CHECK(projections[2].name == "hidden2_to_readout");
  CHECK(projections[3].name == "bias_to_readout");
  CHECK(network.populations()[3].size == 8 * 8 * 64);
  const auto deviation = [&](std::size_t p, double& largest) {
    double squares = 0;
    const std::vector<float> weights = downloaded(*backend, projections[p].weights);
    for (const float weight : weights) {
      squares += static_cast<double>(weight) * weight;
      largest = std::max(largest, std::abs(static_cast<double>(weight)));
    }
    return std::sqrt(squares / static_cast<double>(weights.size()));
  };
  double largest = 0;
  CHECK(deviation(0, largest) == Approx(std::sqrt(2.0 / (9 * 32))).epsilon(0.06));
  CHECK(largest > 2.5 * std::sqrt(2.0 / (9 * 32)));
  CHECK(deviation(1, largest) == Approx(std::sqrt(2.0 / (9 * 64))).epsilon(0.02));
  largest = 0;
  CHECK(deviation(2, largest) == Approx(1 / std::sqrt(3.0 * 4 * 4 * 64)).epsilon(0.05));
  CHECK(largest <= 1 / std::sqrt(4.0 * 4 * 64));
}

TEST_CASE("populations that are maps have no projections onto themselves", "[layers]") {
  const auto refused = [](const std::function<void(LayeredNetwork&)>& change) {
    const auto backend = make_backend("reference", 1);
    Network network(*backend);
    LayeredNetwork layered;
    layered.layers = {"4c3", "lif"};
    change(layered);
    try {
      layered.build(network, {8, 8, 1}, 10, Choice<NeuronModels>(neuron_models()), Clock(), 7);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refused([](LayeredNetwork& /*layered*/) {}).empty());
  CHECK(
      refused([](LayeredNetwork& layered) { layered.recurrent = true; }).starts_with("network.recurrent: "));
  CHECK(refused([](LayeredNetwork& layered) {
          layered.layers = {"4c8p0", "lif"};
          layered.recurrent = true;
        }).empty());
}

}  // namespace orthospike::testing
