#include <cmath>

#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void ReferenceBackend::do_adam_step(const AdamStep& step, View<float> mean, View<float> square,
                                    View<float> gradient) {
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    float& m = mean.address()[i];
    float& v = square.address()[i];
    float& g = gradient.address()[i];
    m = step.beta1 * m + (1.0F - step.beta1) * g;
    v = step.beta2 * v + (1.0F - step.beta2) * (g * g);
    g = step.mean_correction * m / (std::sqrt(step.square_correction * v) + step.epsilon);
  }
}

}  // namespace orthospike
