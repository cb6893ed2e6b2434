#include "learning/optimisers/adam.hpp"

#include <cmath>

#include "kernels/elementwise.hpp"
#include "kernels/optimisers.hpp"

namespace orthospike {

namespace {

/// 1 / (1 - beta^updates): a mean of so many values that began at zero is too small by this.
float bias_correction(float beta, std::size_t updates) {
  return static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(beta), updates)));
}

}  // namespace

void Adam::Settings::describe(SettingsVisitor& visit) {
  visit("optimiser.beta1", beta1, below_one, "-", "Part of the mean gradient that is kept in each update.");
  visit("optimiser.beta2", beta2, below_one, "-",
        "Part of the mean squared gradient that is kept in each update.");
  visit("optimiser.epsilon", epsilon, positive, "-",
        "Added to the root of the mean squared gradient that divides a step.");
  describe_weight_decay(visit, weight_decay);
}

Adam::Adam(Backend& backend, std::size_t parameters, const Settings& settings)
    : backend_(backend), settings_(settings), moments_(parameters) {}

void Adam::begin_task() {
  for (Moments& moments : moments_) {
    backend_.clear(moments.mean.view());
    backend_.clear(moments.square.view());
    moments.updates = 0;
  }
}

void Adam::Moments::state(Archive& archive) {
  archive.resizable("mean", mean);
  archive.resizable("square", square);
  archive.check(mean.size() == square.size(), "as many means as mean squares were expected");
  archive("updates", updates);
}

void Adam::state(Archive& archive) {
  archive("parameter", moments_);
}

void Adam::find_direction(std::size_t parameter, View<const float> weights, View<float> gradient) {
  Moments& moments = moments_[parameter];
  if (moments.mean.size() != gradient.size()) {
    moments.mean = backend_.allocate<float>(gradient.size());
    moments.square = backend_.allocate<float>(gradient.size());
  }
  ++moments.updates;
  const bool decays = settings_.weight_decay != 0.0F && !weights.empty();
  if (decays && settings_.decay == Decay::of_gradient)
    backend_.elementwise().run(Add{.alpha = settings_.weight_decay, .x = weights, .y = gradient});
  backend_.optimisers().run(AdamStep{.beta1 = settings_.beta1,
                                     .beta2 = settings_.beta2,
                                     .epsilon = settings_.epsilon,
                                     .mean_correction = bias_correction(settings_.beta1, moments.updates),
                                     .square_correction = bias_correction(settings_.beta2, moments.updates),
                                     .mean = moments.mean.view(),
                                     .square = moments.square.view(),
                                     .gradient = gradient});
  if (decays && settings_.decay == Decay::of_direction)
    backend_.elementwise().run(Add{.alpha = settings_.weight_decay, .x = weights, .y = gradient});
}

}  // namespace orthospike
