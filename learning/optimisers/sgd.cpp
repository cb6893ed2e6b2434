#include "learning/optimisers/sgd.hpp"

namespace orthospike {

Sgd::Sgd(Backend& backend, std::size_t parameters, const OptimiserSettings& settings)
    : backend_(backend), settings_(settings), velocities_(parameters) {}

void Sgd::begin_task() {
  for (Array<float>& velocity : velocities_) backend_.clear(velocity.view());
}

View<float> Sgd::velocity(std::size_t parameter, std::size_t size) {
  Array<float>& velocity = velocities_[parameter];
  if (velocity.size() == 0) velocity = backend_.allocate<float>(size);
  return velocity.view();
}

void Sgd::step(std::size_t parameter, Matrix weights, ConstMatrix trace, ConstMatrix post) {
  if (settings_.momentum == 0.0F) {
    backend_.multiply(-settings_.learning_rate, trace, Transpose::yes, post, Transpose::no, 1.0F, weights);
    return;
  }
  const View<float> v = velocity(parameter, weights.values.size());
  backend_.multiply(1.0F, trace, Transpose::yes, post, Transpose::no, settings_.momentum,
                    {v, weights.rows, weights.cols});
  backend_.add(-settings_.learning_rate, v, 1.0F, weights.values);
}

void Sgd::step(std::size_t parameter, View<float> values, View<const float> gradient) {
  if (settings_.momentum == 0.0F) {
    backend_.add(-settings_.learning_rate, gradient, 1.0F, values);
    return;
  }
  const View<float> v = velocity(parameter, values.size());
  backend_.add(1.0F, gradient, settings_.momentum, v);
  backend_.add(-settings_.learning_rate, v, 1.0F, values);
}

}  // namespace orthospike
