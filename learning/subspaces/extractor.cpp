#include "learning/subspaces/extractor.hpp"

#include "learning/subspaces/lateral_hebbian.hpp"

namespace orthospike {

Registry<Extractor, Backend&, LateralNeurons&, const ExtractorSettings&>& extractors() {
  static auto registry = [] {
    Registry<Extractor, Backend&, LateralNeurons&, const ExtractorSettings&> known("hlop.extractor");
    known.add("lateral_hebbian",
              [](Backend& backend, LateralNeurons& neurons, const ExtractorSettings& settings) {
                return std::make_unique<LateralHebbian>(backend, neurons, settings);
              });
    return known;
  }();
  return registry;
}

}  // namespace orthospike
