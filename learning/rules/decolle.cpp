#include "learning/rules/decolle.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/delivery.hpp"
#include "kernels/loss.hpp"
#include "kernels/random_numbers.hpp"

namespace orthospike {

Decolle::Decolle(const Network& network, ErrorFeedback& feedback, const RuleContext& context,
                 const Settings& settings)
    : SpikeGradient(network, feedback, context, settings,
                    {.name = "decolle",
                     .through_time = false,
                     .within_step = false,
                     .step_losses = true,
                     .trace = Trace::filtered_spikes,
                     .input_trace = Trace::filtered_spikes,
                     .readout_trace = Trace::leaky_spikes,
                     .is_local = true}),
      network_(network) {
  Backend& backend = network.backend();
  const auto& populations = network.populations();
  classes_ = std::ranges::find(populations, Population::Kind::readout, &Population::kind)->size;
  for (std::size_t i = 0; i < populations.size(); ++i) {
    const bool spiking = populations[i].kind == Population::Kind::spiking;
    const float bound = 1.0F / std::sqrt(static_cast<float>(populations[i].size));
    weights_.push_back(backend.allocate<float>(spiking ? populations[i].size * classes_ : 0));
    backend.random_numbers().run(
        FillUniform{.values = weights_[i].view(),
                    .low = -bound,
                    .high = bound,
                    .key = {context.seed, RandomPurpose::feedback_weights, static_cast<std::uint32_t>(i)}});
  }
  logits_ = backend.allocate<float>(max_rows() * classes_);
  logit_errors_ = backend.allocate<float>(logits_.size());
  loss_ = backend.allocate<double>(1);
  correct_ = backend.allocate<std::uint32_t>(1);
}

ConstMatrix Decolle::error_by_spike(const ClockEngine& engine, std::size_t source,
                                    ConstMatrix /*readout_error*/, View<const Target> targets,
                                    View<float> room) {
  Backend& backend = network_.backend();
  const Population& population = network_.populations()[source];
  const ConstMatrix weights = std::as_const(weights_[source]).matrix(population.size, classes_);
  const std::size_t rows = engine.step_count() * engine.batch();
  const Matrix logits = logits_.matrix(rows, classes_);
  const Matrix errors = logit_errors_.matrix(rows, classes_);
  const auto height = population.neuron->spike_height();
  backend.delivery().run(Deliver{.spikes = engine.activity(source).spikes,
                                 .weights = weights,
                                 .height = height.numerator,
                                 .dt = height.denominator,
                                 .crossover = DeliverySettings().crossover,
                                 .currents = logits});
  const float of_steps = static_cast<float>(engine.step_count()) / static_cast<float>(engine.steps());
  const float of_batch = static_cast<float>(engine.batch()) / static_cast<float>(all_samples(engine));
  backend.loss().run(CrossEntropy{.logits = logits,
                                  .targets = targets,
                                  .weight = of_steps * of_batch,
                                  .logit_gradient = errors,
                                  .loss = loss_.view(),
                                  .correct = correct_.view()});
  return error_through(backend, weights, errors, room);
}

}  // namespace orthospike
