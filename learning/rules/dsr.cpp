#include "learning/rules/dsr.hpp"

#include <fmt/format.h>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

/// T · Σ_t (w_t / Σw)² with w_t = decay^(T-t): how much of the read-out's error one spike carries back.
float readout_feedback_scale(float decay, std::size_t steps) {
  double sum = 0;
  double sum_of_squares = 0;
  double weight = 1;
  for (std::size_t t = 0; t < steps; ++t) {
    sum += weight;
    sum_of_squares += weight * weight;
    weight *= decay;
  }
  return static_cast<float>(static_cast<double>(steps) * sum_of_squares / (sum * sum));
}

}  // namespace

Dsr::Dsr(const Network& network, ErrorFeedback& feedback, const RuleContext& context,
         const Settings& /*settings*/)
    : network_(network),
      feedback_(feedback),
      max_batch_(context.max_batch),
      gradients_(network.projections().size()) {
  require_chain();
  for (const Population& population : network.populations()) {
    const bool spiking = population.kind == Population::Kind::spiking;
    if (spiking && !population.neuron->has_weighted_averages()) {
      throw ConfigError(
          fmt::format("rule.name: the rule dsr differentiates {0} neurons; set neuron.model to {0}",
                      alternatives(neuron_models_with(&NeuronModel::Traits::has_weighted_averages))));
    }
    errors_.push_back(network.backend().allocate<float>(spiking ? max_batch_ * population.size : 0));
    threshold_gradients_.push_back(network.backend().allocate<float>(spiking ? 1 : 0));
  }
}

void Dsr::require_chain() const {
  for (const Projection& a : network_.projections()) {
    for (const Projection& b : network_.projections()) {
      if (&a != &b && a.source == b.source) {
        throw ConfigError(
            "rule.name: the rule dsr needs populations with one outgoing projection each, so no recurrent "
            "ones");
      }
    }
  }
}

void Dsr::backward(const ClockEngine& engine, ConstMatrix readout_error, View<const Target> /*targets*/) {
  Backend& backend = network_.backend();
  // Projections are listed in feed-forward order: by the time one is visited, its target's error is complete.
  for (std::size_t p = network_.projections().size(); p-- > 0;) {
    const Projection& projection = network_.projections()[p];
    const Population& source = network_.populations()[projection.source];
    const bool to_readout = network_.populations()[projection.target].kind == Population::Kind::readout;
    const ConstActivity from = engine.activity(projection.source);

    const ConstMatrix post =
        to_readout ? readout_error
                   : ConstMatrix(errors_[projection.target].matrix(engine.batch(), projection.fan_out));
    gradients_[p] = {.post = post,
                     .trace = to_readout ? from.average_output : from.mean_output,
                     .activity = from.average_output};

    if (source.kind != Population::Kind::spiking) continue;
    const NeuronModel& neuron = *source.neuron;
    const Matrix error = errors_[projection.source].matrix(engine.batch(), source.size);
    feedback_.propagate(p, post, readout_error, error.values);
    const bool from_readout = to_readout || feedback_.is_direct();
    neuron.backward(
        backend,
        NeuronModel::AveragesBackward{
            .scale = from_readout ? readout_feedback_scale(*neuron.averaging_decay(), engine.steps()) : 1.0F,
            .average_current = from.average_current,
            .gradient = error,
            .threshold_gradient = threshold_gradients_[projection.source].view()});
  }
}

}  // namespace orthospike
