#include "learning/optimisers/optimiser.hpp"

#include "learning/optimisers/sgd.hpp"

namespace orthospike {

Registry<Optimiser, Backend&, std::size_t, const OptimiserSettings&>& optimisers() {
  static auto registry = [] {
    Registry<Optimiser, Backend&, std::size_t, const OptimiserSettings&> known("optimiser.name");
    known.add("sgd", [](Backend& backend, std::size_t parameters, const OptimiserSettings& settings) {
      return std::make_unique<Sgd>(backend, parameters, settings);
    });
    return known;
  }();
  return registry;
}

}  // namespace orthospike
