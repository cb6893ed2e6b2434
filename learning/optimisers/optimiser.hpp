#pragma once

#include "kernels/backend.hpp"
#include "sim/registry.hpp"

namespace orthospike {

struct OptimiserSettings {
  float learning_rate = 0;
  float momentum = 0;
};

/// Turns gradients into steps. Parameters are told apart by a number that the caller chooses, below the count
/// given at construction.
class Optimiser {
 public:
  virtual ~Optimiser() = default;

  /// Forgets everything: each task starts with a fresh optimiser.
  virtual void begin_task() = 0;
  /// A step of weights [source × target] whose gradient is traceᵀ · post, without forming it where possible.
  virtual void step(std::size_t parameter, Matrix weights, ConstMatrix trace, ConstMatrix post) = 0;
  /// A step of values whose gradient is given.
  virtual void step(std::size_t parameter, View<float> values, View<const float> gradient) = 0;
};

/// Optimisers by their config name (key optimiser.name).
Registry<Optimiser, Backend&, std::size_t /*parameters*/, const OptimiserSettings&>& optimisers();

}  // namespace orthospike
