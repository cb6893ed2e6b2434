#pragma once

#include <vector>

#include "learning/optimisers/optimiser.hpp"

namespace orthospike {

/// Adam (Kingma & Ba, ICLR 2015): the direction is the bias-corrected mean of the gradients, each weight's in
/// parts of the root of its mean square. Weight decay λ adds λ · w to the gradient (adam) or to the direction
/// (adamw; Loshchilov & Hutter, ICLR 2019).
class Adam final : public Optimiser {
 public:
  enum class Decay { of_gradient, of_direction };

  Adam(Backend& backend, std::size_t parameters, const OptimiserSettings& settings, Decay decay);

  void begin_task() override;
  void find_direction(std::size_t parameter, View<const float> weights, View<float> gradient) override;
  LinearSteps* linear_steps() override { return nullptr; }

 private:
  struct Moments {
    Array<float> mean;
    Array<float> square;
    std::size_t updates = 0;  ///< that they hold
  };

  Backend& backend_;
  OptimiserSettings settings_;
  Decay decay_;
  std::vector<Moments> moments_;
};

}  // namespace orthospike
