#include "learning/subspaces/lateral_neurons.hpp"

#include "kernels/delivery.hpp"
#include "kernels/lateral.hpp"

namespace orthospike {

void LateralSettings::describe(SettingsVisitor& visit) {
  visit("hlop.lateral_scale", scale, positive, "-",
        "Largest response of a subspace neuron: it spikes in every lateral step.");
  visit("hlop.lateral_steps", steps, {.lowest = 1, .highest = 100000}, "steps",
        "Lateral steps T_l of one sample; a spike carries lateral_scale / lateral_steps.");
}

void QuantisedNeurons::respond(Matrix responses) {
  backend_.lateral().run(
      Quantise{.scale = settings_.scale, .levels = settings_.steps, .values = responses.values});
}

SpikingNeurons::SpikingNeurons(Backend& backend, const LateralSettings& settings)
    : backend_(backend), settings_(settings), total_(backend.allocate<std::uint64_t>(1)) {}

void SpikingNeurons::respond(Matrix responses) {
  const std::size_t size = responses.values.size();
  if (counts_.size() < size) counts_ = backend_.allocate<std::uint32_t>(size);
  const View<std::uint32_t> counts = counts_.view().subview(0, size);
  backend_.lateral().run(SpikeSigned{
      .scale = settings_.scale, .steps = settings_.steps, .values = responses.values, .spikes = counts});
  backend_.delivery().run(CountSpikes{.counts = counts, .total = total_.view()});
}

std::uint64_t SpikingNeurons::spikes() const {
  return backend_.download(total_.view())[0];
}

LateralNeuronKinds& lateral_neurons() {
  static auto registry = [] {
    LateralNeuronKinds known("hlop.lateral_neurons", "How subspace neurons respond to presynaptic traces");
    known.add<LinearNeurons>("linear", "");
    known.add<QuantisedNeurons>("quantised", "as lateral_steps spiking steps can express");
    known.add<SpikingNeurons>("spiking", "");
    return known;
  }();
  return registry;
}

}  // namespace orthospike
