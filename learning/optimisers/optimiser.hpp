#pragma once

#include "sim/archive.hpp"
#include "sim/connections/pairs.hpp"
#include "sim/registry.hpp"

namespace orthospike {

/// The key optimiser.weight_decay, which several have.
void describe_weight_decay(SettingsVisitor& visit, float& weight_decay);

/// Steps of an optimiser whose directions are linear in the gradients of a task: what was projected out of
/// the traces is in none of them.
class LinearSteps {
 public:
  virtual ~LinearSteps() = default;

  /// weights [source × target] ← weights - rate · direction for the gradient traceᵀ · post, without forming
  /// it where possible.
  virtual void step(std::size_t parameter, float rate, const Presynaptic& trace, ConstMatrix post,
                    Matrix weights) = 0;
};

/// Turns gradients into directions: parameter ← parameter - rate · direction. The caller takes that step, so
/// that a protection can have the last word. Parameters are told apart by a number that the caller chooses,
/// below the count given at construction.
class Optimiser {
 public:
  virtual ~Optimiser() = default;

  /// Forgets everything: each task starts with a fresh optimiser.
  virtual void begin_task() = 0;
  /// gradient ← direction, once an update. weights: the values that weight decay pulls to zero, as many as
  /// the gradient has; empty for a parameter that does not decay.
  virtual void find_direction(std::size_t parameter, View<const float> weights, View<float> gradient) = 0;
  /// Null where directions are not linear in the gradients alone. Then a protection must project the
  /// direction; else it projects traces or gradients, always these, because the optimiser may keep their sum.
  virtual LinearSteps* linear_steps() = 0;
  virtual void state(Archive& archive) = 0;
};

/// Optimisers by their config name.
using Optimisers = Registry<Optimiser, Backend&, std::size_t /*parameters*/>;
Optimisers& optimisers();

}  // namespace orthospike
