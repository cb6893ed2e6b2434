#include "learning/feedback/sign_symmetric.hpp"

#include <cmath>

#include "kernels/elementwise.hpp"

namespace orthospike {

ConstMatrix SignSymmetric::propagate(std::size_t projection, ConstMatrix target_error,
                                     ConstMatrix /*readout_error*/, View<float> room) {
  Backend& backend = network_.backend();
  const Projection& forward = network_.projections()[projection];
  if (signs_.size() < forward.weights.size()) signs_ = backend.allocate<float>(forward.weights.size());
  const Matrix signs = signs_.matrix(forward.fan_in, forward.fan_out);
  backend.elementwise().run(Sign{.scale = 1.0F / std::sqrt(static_cast<float>(forward.fan_in)),
                                 .x = forward.weights.view(),
                                 .y = signs.values});
  return error_through(backend, signs, target_error, room);
}

}  // namespace orthospike
