#pragma once

#include "kernels/family.hpp"

namespace orthospike {

/// One step of Adam (Kingma & Ba, ICLR 2015), the t-th of a parameter:
/// mean ← beta1 · mean + (1 - beta1) · gradient; square ← beta2 · square + (1 - beta2) · gradient²;
/// gradient ← mean_correction · mean / (√(square_correction · square) + epsilon). All are of one size.
struct AdamStep {
  float beta1 = 0;              ///< part of the old first moment that is kept
  float beta2 = 0;              ///< of the second
  float epsilon = 0;            ///< added to the root of the second moment
  float mean_correction = 0;    ///< 1 / (1 - beta1^t)
  float square_correction = 0;  ///< 1 / (1 - beta2^t)
  View<float> mean;
  View<float> square;
  View<float> gradient;

  void check() const {
    require(mean.size() == gradient.size() && square.size() == gradient.size(), "adam_step",
            "moments and gradient differ in size");
  }
};

struct OptimiserSteps : Family<AdamStep> {
  using Family::Family;
};

}  // namespace orthospike
