#include "learning/feedback/sign_symmetric.hpp"

#include "kernels/elementwise.hpp"

namespace orthospike {

ConstMatrix SignSymmetric::propagate(std::size_t projection, ConstMatrix target_error,
                                     ConstMatrix /*readout_error*/, View<float> room) {
  Backend& backend = network_.backend();
  const Projection& forward = network_.projections()[projection];
  if (signs_.size() < forward.weights.size()) signs_ = backend.allocate<float>(forward.weights.size());
  const Matrix signs = signs_.matrix(forward.presynaptic(), forward.outputs());
  backend.elementwise().run(Sign{
      .scale = forward.connection->initial_weights().scale, .x = forward.weights.view(), .y = signs.values});
  return error_through(backend, *forward.connection, signs, target_error, room);
}

}  // namespace orthospike
