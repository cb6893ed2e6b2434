#include "sim/layered_network.hpp"

#include <fmt/format.h>

namespace orthospike {

void LayeredNetwork::describe(SettingsVisitor& visit, bool readout_may_leak) {
  visit("network.hidden", hidden, {.lowest = 1, .highest = 65536}, "neurons",
        "Sizes of the hidden populations from input to read-out.");
  visit("network.recurrent", recurrent, "Give each hidden population a projection onto itself.");
  visit(
      "network.bias", biases,
      {{"none", Biases::none, ""}, {"readout", Biases::readout, ""}, {"all", Biases::all, ""}},
      "Populations whose neurons have a bias each: a weight, at first 0, from a neuron whose output is always 1. It "
      "learns and is protected as other weights are");
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

void LayeredNetwork::build(Network& network, std::size_t inputs, std::size_t classes,
                           const Choice<NeuronModels>& neuron, const Clock& clock, std::uint64_t seed) const {
  std::string last_name = "input";
  std::size_t last = network.add_population(
      {.name = last_name, .size = inputs, .kind = Population::Kind::input, .neuron = nullptr});
  const auto add_bias =
      [&, bias = biases == Biases::none
                     ? 0
                     : network.add_population(
                           {.name = "bias", .size = 1, .kind = Population::Kind::bias, .neuron = nullptr})](
          Biases least, const std::string& name, std::size_t population) {
        if (biases >= least) network.add_projection("bias_to_" + name, bias, population);
      };
  for (std::size_t i = 0; i < hidden.size(); ++i) {
    const std::string name = fmt::format("hidden{}", i + 1);
    const std::size_t next = network.add_population({.name = name,
                                                     .size = hidden[i],
                                                     .kind = Population::Kind::spiking,
                                                     .neuron = neuron.make(network.backend(), clock)});
    network.add_projection(fmt::format("{}_to_{}", last_name, name), last, next);
    add_bias(Biases::all, name, next);
    if (recurrent) network.add_projection(fmt::format("{0}_to_{0}", name), next, next);
    last = next;
    last_name = name;
  }
  const std::size_t readout =
      network.add_population({.name = "readout",
                              .size = classes,
                              .kind = Population::Kind::readout,
                              .neuron = nullptr,
                              .leak = clock.decay("network.readout_tau", readout_tau)});
  network.add_projection(fmt::format("{}_to_readout", last_name), last, readout);
  add_bias(Biases::readout, "readout", readout);
  network.initialise_weights(seed);
}

}  // namespace orthospike
