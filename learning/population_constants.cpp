#include "learning/population_constants.hpp"

#include "kernels/elementwise.hpp"

namespace orthospike {

PopulationConstants::PopulationConstants(Network& network, bool learn) : backend_(network.backend()) {
  using Gradient = Rule::PopulationGradient;
  const auto add = [&](std::size_t population, View<const float> Gradient::*gradient, View<float> values,
                       std::optional<float> lowest = {}) {
    values_.push_back(values);
    constants_.push_back({.population = population,
                          .gradient = gradient,
                          .lowest = lowest,
                          .summed = backend_.allocate<float>(values.size())});
  };
  for (std::size_t i = 0; learn && i < network.populations().size(); ++i) {
    NeuronModel* const neuron = network.populations()[i].neuron.get();
    Normalisation* const normalisation = network.populations()[i].normalisation.get();
    if (neuron != nullptr && !neuron->threshold().empty())
      add(i, &Gradient::threshold, neuron->threshold(), neuron->lowest_threshold());
    if (normalisation == nullptr) continue;
    add(i, &Gradient::gain, normalisation->gain());
    add(i, &Gradient::offset, normalisation->offset());
  }
}

void PopulationConstants::sum_gradients(const Rule* rule, bool to_others) {
  for (Constant& constant : constants_) {
    if (!to_others) backend_.clear(constant.summed.view());
    if (rule == nullptr) continue;
    const View<const float> gradient = rule->population_gradient(constant.population).*constant.gradient;
    if (!gradient.empty()) backend_.elementwise().run(Add{.x = gradient, .y = constant.summed.view()});
  }
}

void PopulationConstants::step(Optimiser& optimiser, std::size_t first, float rate, Communicator& ranks) {
  for (std::size_t i = 0; i < constants_.size(); ++i) {
    const View<float> summed = constants_[i].summed.view();
    ranks.sum(backend_, summed);
    optimiser.find_direction(first + i, {}, summed);
    backend_.elementwise().run(Add{.alpha = -rate, .x = summed, .y = values_[i]});
    if (constants_[i].lowest)
      backend_.elementwise().run(RaiseTo{.bound = *constants_[i].lowest, .values = values_[i]});
  }
}

}  // namespace orthospike
