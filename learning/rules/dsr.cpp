#include "learning/rules/dsr.hpp"

#include <fmt/format.h>

#include <numeric>

#include "kernels/elementwise.hpp"
#include "kernels/error.hpp"
#include "kernels/traces.hpp"

namespace orthospike {

namespace {

/// w_t / Σw with w_t = decay^(T-t), from the last step to the first.
std::vector<double> averaging_weights(float decay, std::size_t steps) {
  std::vector<double> weights;
  for (double weight = 1; weights.size() < steps; weight *= decay) weights.push_back(weight);
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) weight /= sum;
  return weights;
}

/// T · Σ_t (w_t / Σw)²: how much of the read-out's error one spike carries back.
float readout_feedback_scale(float decay, std::size_t steps) {
  const std::vector<double> weights = averaging_weights(decay, steps);
  const double squares = std::inner_product(weights.begin(), weights.end(), weights.begin(), 0.0);
  return static_cast<float>(static_cast<double>(steps) * squares);
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
    const std::size_t channels =
        population.normalisation == nullptr ? 0 : population.normalisation->channels();
    PopulationErrors& errors = errors_.emplace_back();
    errors.error = network.backend().allocate<float>(size);
    if (further_.size() < size) further_ = network.backend().allocate<float>(size);
    errors.threshold = network.backend().allocate<float>(spiking ? 1 : 0);
    errors.gain = network.backend().allocate<float>(channels);
    errors.offset = network.backend().allocate<float>(channels);
  }
}

void Dsr::backward(const ClockEngine& engine, ConstMatrix readout_error, View<const Target> /*targets*/) {
  // Projections are listed in feed-forward order: by the time one is visited, its target's error is complete, and with the
  // first one from a population the errors that come back to it are.
  for (std::size_t p = network_.projections().size(); p-- > 0;) {
    const std::size_t source = network_.projections()[p].source;
    const ConstActivity from = engine.activity(source);
    if (errors_[network_.projections()[p].target].differs) {
      gradients_[p] = gradient_of_steps(engine, p);
    } else {
      gradients_[p] = {.post = error_of_target(p, readout_error),
                       .trace = leads_to_readout(p) ? from.average_output : from.mean_output,
                       .activity = from.average_output};
    }
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
                                     errors_[population].error.view(), further_.view());
  neuron.backward(
      network_.backend(),
      NeuronModel::AveragesBackward{.scale = returning(network_.projections_from(population).front()).weight,
                                    .average_current = engine.activity(population).average_current,
                                    .gradient = error,
                                    .threshold_gradient = errors_[population].threshold.view()});
  errors_[population].differs = false;
  through_normalisation(engine, population, error);
  if (!feedback_.is_direct()) add_carried(engine, population, error);
}

void Dsr::add_carried(const ClockEngine& engine, std::size_t population, Matrix error) {
  Backend& backend = network_.backend();
  PopulationErrors& own = errors_[population];
  const std::size_t steps = engine.steps();
  const auto add_to_steps = [&](ConstMatrix x) {
    const Matrix y = each_step(engine, population);
    const float share = x.rows == y.rows ? 1.0F : 1.0F / static_cast<float>(steps);
    for (std::size_t row = 0; row < y.rows; row += x.rows)
      backend.elementwise().run(Add{.alpha = share, .x = x.values, .y = y.row_range(row, x.rows).values});
  };
  for (const std::size_t carrier : network_.carriers(population)) {
    PopulationErrors& its = errors_[carrier];
    ConstMatrix added = its.error.matrix(error.rows, error.cols);
    if (engine.has_constant_currents(population)) {
      // The gradient by what is the same in all steps is the sum of theirs.
      if (its.differs) added = sum_of_steps(engine, carrier);
    } else if (its.differs || own.differs) {
      if (!own.differs) {
        backend.clear(each_step(engine, population).values);
        add_to_steps(error);
        own.differs = true;
      }
      add_to_steps(its.differs ? ConstMatrix(each_step(engine, carrier)) : added);
    }
    backend.elementwise().run(Add{.x = added.values, .y = error.values});
  }
}

Matrix Dsr::each_step(const ClockEngine& engine, std::size_t population) {
  const std::size_t size = network_.populations()[population].size;
  Array<float>& own = errors_[population].each_step;
  if (own.size() == 0) own = network_.backend().allocate<float>(max_batch_ * engine.steps() * size);
  return own.matrix(engine.steps() * engine.batch(), size);
}

Matrix Dsr::sum_of_steps(const ClockEngine& engine, std::size_t population) {
  const std::size_t size = network_.populations()[population].size;
  Array<float>& own = errors_[population].sum;
  if (own.size() == 0) own = network_.backend().allocate<float>(max_batch_ * size);
  const Matrix sum = own.matrix(engine.batch(), size);
  network_.backend().traces().run(
      SumSteps{.steps = engine.steps(), .x = each_step(engine, population), .sum = sum});
  return sum;
}

void Dsr::through_normalisation(const ClockEngine& engine, std::size_t population, Matrix error) {
  const auto& normalisation = network_.populations()[population].normalisation;
  if (normalisation == nullptr) return;
  const ConstMatrix normalised = engine.activity(population).normalised;
  if (normalised.empty()) {
    normalisation->backward(error);
    return;
  }
  // ∂L/∂I[t] is error / T for normalised currents I.
  const std::size_t steps = normalised.rows / error.rows;
  const auto share = static_cast<float>(1.0 / static_cast<double>(steps));
  PopulationErrors& own = errors_[population];
  Matrix by_currents = error;
  own.differs = steps > 1;
  if (own.differs) by_currents = each_step(engine, population);
  normalisation->backward({.scale = share,
                           .batch = error.rows,
                           .errors = error,
                           .normalised = normalised,
                           .by_gain = own.gain.view(),
                           .by_offset = own.offset.view(),
                           .by_currents = by_currents});
  if (!own.differs) return;
  // T · avg, as of the neurons below, which are of the same model.
  const std::vector<double> weights =
      averaging_weights(*network_.populations()[population].neuron->averaging_decay(), steps);
  for (std::size_t before_last = 0; before_last < steps; ++before_last) {
    const std::size_t row = (steps - 1 - before_last) * error.rows;
    network_.backend().elementwise().run(
        Add{.alpha = static_cast<float>(static_cast<double>(steps) * weights[before_last]),
            .x = ConstMatrix(by_currents).row_range(row, error.rows).values,
            .beta = before_last == 0 ? 0.0F : 1.0F,
            .y = error.values});
  }
}

WeightGradient Dsr::gradient_of_steps(const ClockEngine& engine, std::size_t p) {
  const Projection& projection = network_.projections()[p];
  const ConstActivity from = engine.activity(projection.source);
  const Population& source = network_.populations()[projection.source];
  if (source.is_static())
    return {.post = sum_of_steps(engine, projection.target),
            .trace = from.mean_output,
            .activity = from.average_output};
  const auto [height, dt] = source.neuron->spike_height();
  return {.post = each_step(engine, projection.target),
          .trace = {from.spikes, height, dt},
          .activity = from.average_output};
}

bool Dsr::leads_to_readout(std::size_t projection) const {
  return network_.populations()[network_.projections()[projection].target].kind == Population::Kind::readout;
}

ConstMatrix Dsr::error_of_target(std::size_t projection, ConstMatrix readout_error) const {
  if (leads_to_readout(projection)) return readout_error;
  const std::size_t target = network_.projections()[projection].target;
  return errors_[target].error.matrix(readout_error.rows, network_.populations()[target].size);
}

}  // namespace orthospike
