#include "learning/optimisers/optimiser.hpp"

#include "learning/optimisers/adam.hpp"
#include "learning/optimisers/sgd.hpp"

namespace orthospike {

Registry<Optimiser, Backend&, std::size_t, const OptimiserSettings&>& optimisers() {
  static auto registry = [] {
    Registry<Optimiser, Backend&, std::size_t, const OptimiserSettings&> known("optimiser.name");
    known.add("sgd", [](Backend& backend, std::size_t parameters, const OptimiserSettings& settings) {
      return std::make_unique<Sgd>(backend, parameters, settings);
    });
    known.add("adam", [](Backend& backend, std::size_t parameters, const OptimiserSettings& settings) {
      return std::make_unique<Adam>(backend, parameters, settings, Adam::Decay::of_gradient);
    });
    known.add("adamw", [](Backend& backend, std::size_t parameters, const OptimiserSettings& settings) {
      return std::make_unique<Adam>(backend, parameters, settings, Adam::Decay::of_direction);
    });
    return known;
  }();
  return registry;
}

}  // namespace orthospike
