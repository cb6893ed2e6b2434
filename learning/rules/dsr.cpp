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
  for (const Projection& projection : network.projections()) {
    if (projection.is_recurrent())
      throw ConfigError("rule.name: the rule dsr is for networks without recurrent projections");
  }
  for (const Population& population : network.populations()) {
    const bool spiking = population.kind == Population::Kind::spiking;
    if (spiking && !population.neuron->has_weighted_averages()) {
      throw ConfigError(
          fmt::format("rule.name: the rule dsr differentiates {0} neurons; set neuron.model to {0}",
                      alternatives(neuron_models_with(&NeuronModel::Traits::has_weighted_averages))));
    }
    const std::size_t size = spiking ? max_batch_ * population.size : 0;
    errors_.push_back(network.backend().allocate<float>(size));
    if (further_.size() < size) further_ = network.backend().allocate<float>(size);
    threshold_gradients_.push_back(network.backend().allocate<float>(spiking ? 1 : 0));
  }
}

void Dsr::backward(const ClockEngine& engine, ConstMatrix readout_error, View<const Target> /*targets*/) {
  // Projections are listed in feed-forward order: by the time one is visited, its target's error is complete, and with the
  // first one from a population the errors that come back to it are.
  for (std::size_t p = network_.projections().size(); p-- > 0;) {
    const std::size_t source = network_.projections()[p].source;
    const ConstActivity from = engine.activity(source);
    gradients_[p] = {.post = error_of_target(p, readout_error),
                     .trace = leads_to_readout(p) ? from.average_output : from.mean_output,
                     .activity = from.average_output};
    if (network_.populations()[source].kind == Population::Kind::spiking &&
        p == network_.projections_from(source).front())
      through_neurons(engine, source, readout_error);
  }
}

void Dsr::through_neurons(const ClockEngine& engine, std::size_t population, ConstMatrix readout_error) {
  const NeuronModel& neuron = *network_.populations()[population].neuron;
  const float of_readout = readout_feedback_scale(*neuron.averaging_decay(), engine.steps());
  const auto returning = [&](std::size_t p) {
    const bool from_readout = leads_to_readout(p) || feedback_.is_direct();
    return ReturningError{.by_target = error_of_target(p, readout_error),
                          .weight = from_readout ? of_readout : 1.0F};
  };
  const Matrix error = gather_errors(network_, feedback_, population, returning, readout_error,
                                     errors_[population].view(), further_.view());
  neuron.backward(
      network_.backend(),
      NeuronModel::AveragesBackward{.scale = returning(network_.projections_from(population).front()).weight,
                                    .average_current = engine.activity(population).average_current,
                                    .gradient = error,
                                    .threshold_gradient = threshold_gradients_[population].view()});
}

bool Dsr::leads_to_readout(std::size_t projection) const {
  return network_.populations()[network_.projections()[projection].target].kind == Population::Kind::readout;
}

ConstMatrix Dsr::error_of_target(std::size_t projection, ConstMatrix readout_error) const {
  if (leads_to_readout(projection)) return readout_error;
  const std::size_t target = network_.projections()[projection].target;
  return errors_[target].matrix(readout_error.rows, network_.populations()[target].size);
}

}  // namespace orthospike
