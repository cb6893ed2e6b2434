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

  struct Settings {
    Decay decay = Decay::of_gradient;
    float beta1 = 0.9F;
    float beta2 = 0.999F;
    float epsilon = 1e-8F;
    float weight_decay = 0.0F;

    void describe(SettingsVisitor& visit);
  };

  Adam(Backend& backend, std::size_t parameters, const Settings& settings);

  void begin_task() override;
  void find_direction(std::size_t parameter, View<const float> weights, View<float> gradient) override;
  LinearSteps* linear_steps() override { return nullptr; }
  void state(Archive& archive) override;

 private:
  struct Moments {
    Array<float> mean;
    Array<float> square;
    std::size_t updates = 0;  ///< that they hold

    void state(Archive& archive);
  };

  Backend& backend_;
  Settings settings_;
  std::vector<Moments> moments_;
};

}  // namespace orthospike
