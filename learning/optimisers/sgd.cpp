#include "learning/optimisers/sgd.hpp"

#include "kernels/elementwise.hpp"

namespace orthospike {

void Sgd::Settings::describe(SettingsVisitor& visit) {
  visit("optimiser.momentum", momentum, below_one, "-", "Part of the velocity that is kept in each update.");
  describe_weight_decay(visit, weight_decay);
}

Sgd::Sgd(Backend& backend, std::size_t parameters, const Settings& settings)
    : backend_(backend), settings_(settings), velocities_(parameters) {}

void Sgd::begin_task() {
  for (Array<float>& velocity : velocities_) backend_.clear(velocity.view());
}

void Sgd::state(Archive& archive) {
  for (std::size_t i = 0; i < velocities_.size(); ++i)
    archive.resizable("velocity" + std::to_string(i), velocities_[i]);
}

View<float> Sgd::velocity(std::size_t parameter, std::size_t size) {
  Array<float>& velocity = velocities_[parameter];
  if (velocity.size() != size) velocity = backend_.allocate<float>(size);
  return velocity.view();
}

void Sgd::find_direction(std::size_t parameter, View<const float> weights, View<float> gradient) {
  if (settings_.weight_decay != 0.0F && !weights.empty())
    backend_.elementwise().run(Add{.alpha = settings_.weight_decay, .x = weights, .y = gradient});
  if (settings_.momentum == 0.0F) return;
  const View<float> v = velocity(parameter, gradient.size());
  backend_.elementwise().run(Add{.x = gradient, .beta = settings_.momentum, .y = v});
  backend_.copy(View<const float>(v), gradient);
}

void Sgd::step(std::size_t parameter, float rate, const Presynaptic& trace, ConstMatrix post,
               Matrix weights) {
  if (settings_.momentum == 0.0F) {
    add_outer_products(backend_, -rate, trace, post, 1.0F, weights);
    return;
  }
  const View<float> v = velocity(parameter, weights.values.size());
  add_outer_products(backend_, 1.0F, trace, post, settings_.momentum, {v, weights.rows, weights.cols});
  backend_.elementwise().run(Add{.alpha = -rate, .x = v, .y = weights.values});
}

}  // namespace orthospike
