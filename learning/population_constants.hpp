#pragma once

#include <optional>
#include <vector>

#include "learning/communicator.hpp"
#include "learning/optimisers/optimiser.hpp"
#include "learning/rules/rule.hpp"

namespace orthospike {

/// What populations train beside weights: thresholds of neurons, gains and offsets of normalisations.
class PopulationConstants {
 public:
  /// learn: where not, there are none.
  PopulationConstants(Network& network, bool learn);

  /// Of all of them, each a parameter of an optimiser.
  const std::vector<View<float>>& values() const { return values_; }
  /// Gradients of the rule's last batch, or where it is null of none, alone or added to those before.
  void sum_gradients(const Rule* rule, bool to_others);
  /// Against the sums, of all ranks. first: the optimiser's number of the first of them.
  void step(Optimiser& optimiser, std::size_t first, float rate, Communicator& ranks);

 private:
  struct Constant {
    std::size_t population;
    View<const float> Rule::PopulationGradient::*gradient;
    std::optional<float> lowest;  ///< what values stay above
    Array<float> summed;          ///< gradients
  };

  Backend& backend_;
  std::vector<View<float>> values_;
  std::vector<Constant> constants_;  ///< as many
};

}  // namespace orthospike
