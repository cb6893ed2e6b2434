#include "learning/optimisers/optimiser.hpp"

#include "learning/optimisers/adam.hpp"
#include "learning/optimisers/sgd.hpp"

namespace orthospike {

void describe_weight_decay(SettingsVisitor& visit, float& weight_decay) {
  visit("optimiser.weight_decay", weight_decay, not_negative, "-",
        "This times the weights is added to their gradient (sgd, adam) or to what adamw multiplies with the "
        "learning rate. A protection keeps from decay what it keeps from learning; thresholds do not decay.");
}

Optimisers& optimisers() {
  static auto registry = [] {
    Optimisers known("optimiser.name", "Optimiser");
    known.add<Sgd>("sgd", "with momentum when that is above 0");
    known.add<Adam>("adam", "steps in parts of each gradient's size", Adam::Settings{});
    known.add<Adam>("adamw", "adam whose weight decay is apart from the gradient",
                    Adam::Settings{.decay = Adam::Decay::of_direction});
    return known;
  }();
  return registry;
}

}  // namespace orthospike
