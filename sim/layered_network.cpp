#include "sim/layered_network.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/error.hpp"
#include "sim/connections/channel_bias.hpp"

namespace orthospike {

void LayeredNetwork::describe(SettingsVisitor& visit, bool readout_may_leak) {
  visit(
      "network.layers", layers, "none",
      "Hidden populations from input to read-out, in words: NcK, or with any of the rest NcKsSpPgG, a convolution to "
      "N channels with a kernel of K × K pixels, stride S (else 1), padding P (else K / 2) and channels in G groups "
      "(else 1); N, a dense projection to N neurons; "
      "behind each of them lif, its neurons, of the model neuron.model, or bn, lif, where currents are normalised "
      "first; pK, average pooling of K × K pixels, before one of them or the read-out; blockN or blockNsS behind a "
      "convolution, a pre-activation residual block of N channels and stride S; resnet18 N, a whole network of "
      "these, from N channels on. For example 32c3, bn, lif, p2, 64c3, bn, lif, p2, 100, lif.");
  visit.only(layers.empty(), "network.layers none", [&] {
    visit("network.hidden", hidden, {.lowest = 1, .highest = 65536}, "neurons",
          "Sizes of the hidden populations from input to read-out, with dense projections.");
  });
  visit.only(has_normalisation(), "network.layers with bn or blocks", [&] { normalisation.describe(visit); });
  visit("network.recurrent", recurrent, "Give each hidden population a projection onto itself.");
  visit(
      "network.bias", biases,
      {{"none", Biases::none, ""}, {"readout", Biases::readout, ""}, {"all", Biases::all, ""}},
      "Populations whose neurons, or channels of maps, have a bias each: a weight, at first 0, from a neuron whose output "
      "is always 1. It learns and is protected as other weights are. Behind bn there is none, whose offsets are biases");
  visit(
      "network.weights", weights,
      "Weights file, or folder of a run, whose weights and thresholds the network starts from; empty for random "
      "weights.");
  visit.only(readout_may_leak, "rules whose read-out may leak", [&] {
    visit(
        "network.readout_tau", readout_tau, not_negative, "ms",
        "Time constant of a leaky read-out; 0 for one that follows its current. Logits are its mean over time.");
  });
}

bool LayeredNetwork::has_normalisation() const {
  return std::ranges::any_of(layers, [](const std::string& word) {
    return word == "bn" || word.starts_with("block") || word.starts_with("resnet");
  });
}

std::vector<std::string> LayeredNetwork::words() const {
  if (!layers.empty()) return layers;
  std::vector<std::string> result;
  for (const std::size_t size : hidden) result.insert(result.end(), {std::to_string(size), "lif"});
  return result;
}

void LayeredNetwork::build(Network& network, const MapShape& input, std::size_t classes,
                           const Choice<NeuronModels>& neuron, const Clock& clock, std::uint64_t seed) const {
  const Layers all = layers_of(words(), input);
  std::string last_name = "input";
  MapShape last_shape = input;
  std::size_t last = network.add_population(
      {.name = last_name, .size = input.size(), .kind = Population::Kind::input, .neuron = nullptr});
  std::size_t bias = 0;
  std::vector<std::size_t> populations;  // hidden ones
  if (biases != Biases::none) {
    bias = network.add_population(
        {.name = "bias", .size = 1, .kind = Population::Kind::bias, .neuron = nullptr});
  }
  for (std::size_t i = 0; i < all.hidden.size(); ++i) {
    const auto& [way, shape, is_normalised, carried, shortcut] = all.hidden[i];
    const std::string name = fmt::format("hidden{}", i + 1);
    std::unique_ptr<Normalisation> normalised;
    if (is_normalised)
      normalised = std::make_unique<Normalisation>(network.backend(), shape.channels, normalisation);
    const std::size_t next =
        network.add_population({.name = name,
                                .size = shape.size(),
                                .kind = Population::Kind::spiking,
                                .neuron = neuron.make(network.backend(), clock),
                                .normalisation = std::move(normalised),
                                .carried = carried ? std::optional(populations[*carried]) : std::nullopt});
    populations.push_back(next);
    network.add_projection(fmt::format("{}_to_{}", last_name, name), last, next,
                           way.connection(last_shape, shape));
    if (shortcut)
      network.add_projection(fmt::format("hidden{}_to_{}", shortcut->source + 1, name),
                             populations[shortcut->source], next,
                             shortcut->way.connection(all.hidden[shortcut->source].shape, shape));
    const bool is_map = shape.height * shape.width > 1;
    if (biases == Biases::all && !is_normalised)  // else its mean would take the bias out again
      network.add_projection("bias_to_" + name, bias, next,
                             std::make_unique<ChannelBias>(shape.height * shape.width, shape.channels));
    if (recurrent) {
      if (is_map)
        throw ConfigError(
            "network.recurrent: populations that are maps have no projection onto themselves here");
      if (is_normalised || carried)
        throw ConfigError(
            "network.recurrent: populations whose currents are normalised, or end a block, have no projection onto "
            "themselves here");
      network.add_projection(fmt::format("{0}_to_{0}", name), next, next);
    }
    last = next;
    last_name = name;
    last_shape = shape;
  }
  const std::size_t readout =
      network.add_population({.name = "readout",
                              .size = classes,
                              .kind = Population::Kind::readout,
                              .neuron = nullptr,
                              .leak = clock.decay("network.readout_tau", readout_tau)});
  network.add_projection(fmt::format("{}_to_readout", last_name), last, readout,
                         all.to_readout.connection(last_shape, {1, 1, classes}));
  if (biases != Biases::none) network.add_projection("bias_to_readout", bias, readout);
  network.initialise_weights(seed);
}

}  // namespace orthospike
