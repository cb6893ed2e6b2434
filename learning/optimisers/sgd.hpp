#pragma once

#include <vector>

#include "learning/optimisers/optimiser.hpp"

namespace orthospike {

/// Stochastic gradient descent, with momentum μ if it is not 0 and weight decay λ: g ← gradient + λ · w;
/// velocity ← μ · velocity + g; the direction is the velocity. Linear in the gradients when λ is 0.
class Sgd final : public Optimiser, private LinearSteps {
 public:
  struct Settings {
    float momentum = 0.0F;
    float weight_decay = 0.0F;

    void describe(SettingsVisitor& visit);
  };

  Sgd(Backend& backend, std::size_t parameters, const Settings& settings);

  void begin_task() override;
  void find_direction(std::size_t parameter, View<const float> weights, View<float> gradient) override;
  LinearSteps* linear_steps() override { return settings_.weight_decay == 0.0F ? this : nullptr; }
  void state(Archive& archive) override;

 private:
  void step(std::size_t parameter, float rate, const Presynaptic& trace, ConstMatrix post,
            Matrix weights) override;
  View<float> velocity(std::size_t parameter, std::size_t size);

  Backend& backend_;
  Settings settings_;
  std::vector<Array<float>> velocities_;
};

}  // namespace orthospike
