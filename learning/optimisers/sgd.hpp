#pragma once

#include <vector>

#include "learning/optimisers/optimiser.hpp"

namespace orthospike {

/// Stochastic gradient descent, with momentum μ if it is not 0: velocity ← μ · velocity + gradient;
/// w ← w - learning_rate · velocity.
/// Steps are linear in the gradients, so what a protection has projected out stays out.
class Sgd final : public Optimiser {
 public:
  Sgd(Backend& backend, std::size_t parameters, const OptimiserSettings& settings);

  void begin_task() override;
  void step(std::size_t parameter, Matrix weights, ConstMatrix trace, ConstMatrix post) override;
  void step(std::size_t parameter, View<float> values, View<const float> gradient) override;

 private:
  View<float> velocity(std::size_t parameter, std::size_t size);

  Backend& backend_;
  OptimiserSettings settings_;
  std::vector<Array<float>> velocities_;
};

}  // namespace orthospike
