#include "kernels/optimisers.hpp"

#include <cmath>

#include "kernels/host_view.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void execute(ReferenceBackend&, const AdamStep& op) {
  for (std::size_t i = 0; i < op.gradient.size(); ++i) {
    float& m = host(op.mean)[i];
    float& v = host(op.square)[i];
    float& g = host(op.gradient)[i];
    m = op.beta1 * m + (1.0F - op.beta1) * g;
    v = op.beta2 * v + (1.0F - op.beta2) * (g * g);
    g = op.mean_correction * m / (std::sqrt(op.square_correction * v) + op.epsilon);
  }
}

template std::shared_ptr<OptimiserSteps> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
