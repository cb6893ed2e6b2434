#include "learning/subspaces/lateral_neurons.hpp"

#include "kernels/delivery.hpp"
#include "kernels/lateral.hpp"

namespace orthospike {

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

Registry<LateralNeurons, Backend&, const LateralSettings&>& lateral_neurons() {
  static auto registry = [] {
    Registry<LateralNeurons, Backend&, const LateralSettings&> known("hlop.lateral_neurons");
    known.add("linear", [](Backend&, const LateralSettings&) { return std::make_unique<LinearNeurons>(); });
    known.add("quantised", [](Backend& backend, const LateralSettings& settings) {
      return std::make_unique<QuantisedNeurons>(backend, settings);
    });
    known.add("spiking", [](Backend& backend, const LateralSettings& settings) {
      return std::make_unique<SpikingNeurons>(backend, settings);
    });
    return known;
  }();
  return registry;
}

}  // namespace orthospike
