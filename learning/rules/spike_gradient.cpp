#include "learning/rules/spike_gradient.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/delivery.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/error.hpp"
#include "kernels/traces.hpp"

namespace orthospike {

namespace {

/// Steps of one run of rules whose memory does not grow with time: more than published networks have in all, and
/// enough that weights are seldom read.
constexpr std::size_t steps_of_online_run = 50;

}  // namespace

void SurrogateSettings::describe(SettingsVisitor& visit) {
  visit("rule.surrogate", surrogate,
        {{"sigmoid", Surrogate::sigmoid, ""},
         {"arctan", Surrogate::arctan, ""},
         {"fast_sigmoid", Surrogate::fast_sigmoid, ""},
         {"triangle", Surrogate::triangle, ""}},
        "Derivative of a spike");
  visit("rule.slope", slope, positive, "1/potential",
        "Steepness of the surrogate: the larger, the narrower.");
}

SpikeGradient::SpikeGradient(const Network& network, ErrorFeedback& feedback, const RuleContext& context,
                             const SurrogateSettings& settings, Form form)
    : network_(network),
      feedback_(feedback),
      context_(context),
      settings_(settings),
      form_(form),
      gradients_(network.projections().size()) {
  Backend& backend = network.backend();
  for (std::size_t i = 0; i < network.populations().size(); ++i) {
    const Population& population = network.populations()[i];
    if (population.kind == Population::Kind::readout) readout_leak_ = population.leak;
    if (population.kind != Population::Kind::spiking) continue;
    if (!population.neuron->surrogate_traits()) {
      throw ConfigError(fmt::format(
          "rule.name: the rule {} needs surrogate derivatives; set neuron.model to {}", form_.name,
          alternatives(neuron_models_with(&NeuronModel::Traits::has_surrogate_derivative))));
    }
    if (!form_.detached_reset && !neurons(i).differentiates_reset) {
      throw ConfigError(
          "rule.detached_reset: errors through such a reset of these neurons are not defined; leave it at true");
    }
  }
  const std::size_t steps = most_steps(context.clock.steps);
  const std::size_t rows = steps * context.max_batch;
  for (const Population& population : network.populations()) {
    PopulationErrors& errors = errors_.emplace_back();
    if (population.kind == Population::Kind::readout)
      readout_errors_ = backend.allocate<float>(rows * population.size);
    if (population.kind != Population::Kind::spiking) continue;
    errors.by_spike = backend.allocate<float>(rows * population.size);
    if (network.projections_from(errors_.size() - 1).size() > 1 && further_.size() < errors.by_spike.size())
      further_ = backend.allocate<float>(errors.by_spike.size());
    errors.by_current = backend.allocate<float>(rows * population.size);
    if (population.normalisation == nullptr) continue;
    errors.gain = backend.allocate<float>(population.normalisation->channels());
    errors.offset = backend.allocate<float>(population.normalisation->channels());
  }
  for (const Projection& projection : network.projections()) {
    ProjectionRows& own = rows_.emplace_back();
    if (form_.through_time && projection.is_recurrent()) {
      PopulationErrors& errors = errors_[projection.source];
      errors.recurrent = backend.allocate<float>(context.max_batch * projection.sources());
      const NeuronModel& neuron = *network.populations()[projection.source].neuron;
      for (std::size_t k = 0; k < neuron.state_fields().size(); ++k)
        errors.later.push_back(backend.allocate<float>(context.max_batch * projection.sources()));
    }
    own.post = backend.allocate<float>(rows * projection.targets());
    if (network.populations()[projection.source].is_static()) {
      own.summed_post = backend.allocate<float>(context.max_batch * projection.targets());
      continue;
    }
    const std::size_t size = context.max_batch * projection.sources();
    own.spikes = backend.allocate<float>(steps * size);
    if (!past_in_traces()) continue;
    own.traces = backend.allocate<float>((steps + 1) * size);
    own.last = backend.allocate<float>(size);
    own.last_synapse = backend.allocate<float>(size);
  }
}

SurrogateTraits SpikeGradient::neurons(std::size_t population) const {
  return *network_.populations()[population].neuron->surrogate_traits();
}

bool SpikeGradient::is_online() const {
  for (std::size_t i = 0; i < network_.populations().size(); ++i) {
    const bool spiking = network_.populations()[i].kind == Population::Kind::spiking;
    if (spiking && !form_.within_step && neurons(i).adapts) return false;
  }
  return !form_.through_time && (readout_leak_ == 0.0F || form_.readout_trace != Trace::spikes);
}

std::size_t SpikeGradient::most_steps(std::size_t steps) const {
  return is_online() ? std::min(steps, steps_of_online_run) : steps;
}

void SpikeGradient::backward(const ClockEngine& engine, ConstMatrix readout_error,
                             View<const Target> targets) {
  const std::size_t steps = engine.step_count();
  const ConstMatrix readout = readout_current_error(engine, readout_error);
  // Projections are listed in feed-forward order, recurrent ones after those that reach their population: by the time one
  // is visited, its target's error is complete, and with the first one to others the errors that come back to a population.
  for (std::size_t p = network_.projections().size(); p-- > 0;) {
    const Projection& projection = network_.projections()[p];
    const ConstMatrix error = error_by_current(engine, projection.target, readout);
    const bool constant = error.rows < steps * engine.batch();  // the same in all steps: one row a sample
    const bool is_static = network_.populations()[projection.source].is_static();
    const ConstMatrix mean = engine.activity(projection.source).mean_output;
    if (is_static) {
      gradients_[p] = constant ? WeightGradient{.post = readout_error, .trace = mean, .activity = mean}
                               : from_static(engine, p, error);
      continue;
    }
    gradients_[p] = from_spikes(engine, p, error);
    if (constant) {
      gradients_[p].post = readout_error;
      gradients_[p].trace = mean;
    }

    if (p == network_.projections_from(projection.source).front())
      through_neurons(engine, projection.source,
                      error_by_spike(engine, projection.source, readout, targets,
                                     errors_[projection.source].by_spike.view()));
  }
}

ConstMatrix SpikeGradient::error_by_spike(const ClockEngine& engine, std::size_t population,
                                          ConstMatrix readout_error, View<const Target> /*targets*/,
                                          View<float> room) {
  const auto returning = [&](std::size_t p) {
    return ReturningError{error_by_current(engine, network_.projections()[p].target, readout_error)};
  };
  return gather_errors(network_, feedback_, population, returning, readout_error, room, further_.view());
}

ConstMatrix SpikeGradient::error_by_current(const ClockEngine& engine, std::size_t population,
                                            ConstMatrix readout_error) const {
  const Population& its = network_.populations()[population];
  if (its.kind == Population::Kind::readout) return readout_error;
  return errors_[population].by_current.matrix(engine.step_count() * engine.batch(), its.size);
}

void SpikeGradient::through_neurons(const ClockEngine& engine, std::size_t population, ConstMatrix by_spike) {
  Backend& backend = network_.backend();
  const std::size_t batch = engine.batch();
  const std::size_t steps = engine.step_count();
  const std::size_t size = network_.populations()[population].size;
  PopulationErrors& errors = errors_[population];
  const NeuronModel& neuron = *network_.populations()[population].neuron;
  const SurrogateDerivative derivative{.surrogate = settings_.surrogate,
                                       .slope = settings_.slope,
                                       .through_time = form_.through_time,
                                       .detached_reset = form_.detached_reset,
                                       .through_adaptation = !form_.within_step};
  const ConstMatrix margin = engine.activity(population).margin;
  const Matrix by_current = errors.by_current.matrix(steps * batch, size);
  if (errors.recurrent.size() == 0 || feedback_.is_direct()) {
    neuron.backward(backend, NeuronModel::Backward{.derivative = derivative,
                                                   .steps = steps,
                                                   .margin = margin,
                                                   .output_error = by_spike,
                                                   .current_error = by_current});
    through_normalisation(engine, population, by_current);
    if (form_.is_local || feedback_.is_direct()) return;
    for (const std::size_t carrier : network_.carriers(population))
      backend.elementwise().run(
          Add{.x = error_by_current(engine, carrier, {}).values, .y = by_current.values});
    return;
  }
  const auto recurrent =
      static_cast<std::size_t>(network_.recurrent_projection(population) - network_.projections().data());
  std::vector<Matrix> later;
  for (Array<float>& field : errors.later) {
    later.push_back(field.matrix(batch, size));
    backend.clear(later.back().values);
  }
  for (std::size_t t = steps; t-- > 0;) {
    ConstMatrix error = by_spike.row_range(by_spike.rows == batch ? 0 : t * batch, batch);
    if (t + 1 < steps) {
      const Matrix sum = errors.recurrent.matrix(batch, size);
      feedback_.propagate(recurrent, by_current.row_range((t + 1) * batch, batch), {}, sum.values);
      backend.elementwise().run(Add{.x = error.values, .y = sum.values});
      error = sum;
    }
    neuron.backward(backend, NeuronModel::Backward{.derivative = derivative,
                                                   .steps = 1,
                                                   .margin = margin.row_range(t * batch, batch),
                                                   .output_error = error,
                                                   .later = later,
                                                   .current_error = by_current.row_range(t * batch, batch)});
  }
}

void SpikeGradient::through_normalisation(const ClockEngine& engine, std::size_t population,
                                          Matrix by_current) {
  const auto& normalisation = network_.populations()[population].normalisation;
  if (normalisation == nullptr) return;
  const ConstMatrix normalised = engine.activity(population).normalised;
  if (normalised.empty()) {
    normalisation->backward(by_current);
    return;
  }
  normalisation->backward({.batch = engine.batch(),
                           .errors = by_current,
                           .normalised = normalised,
                           .by_gain = errors_[population].gain.view(),
                           .by_offset = errors_[population].offset.view(),
                           .by_currents = by_current});
}

ConstMatrix SpikeGradient::readout_current_error(const ClockEngine& engine, ConstMatrix readout_error) {
  Backend& backend = network_.backend();
  const std::size_t batch = engine.batch();
  const std::size_t steps = engine.step_count();
  const bool constant = !form_.step_losses && readout_leak_ == 0.0F;
  const Matrix errors = readout_errors_.matrix((constant ? 1 : steps) * batch, readout_error.cols);
  if (form_.step_losses) {
    backend.copy(readout_error.values, errors.values);
  } else {
    for (std::size_t t = 0; t * batch < errors.rows; ++t) {
      backend.elementwise().run(Add{.alpha = 1.0F / static_cast<float>(engine.steps()),
                                    .x = readout_error.values,
                                    .beta = 0.0F,
                                    .y = errors.row_range(t * batch, batch).values});
    }
  }
  if (readout_leak_ != 0.0F && form_.readout_trace == Trace::spikes)
    backend.traces().run(FilterBack{.decay = readout_leak_, .steps = steps, .x = errors});
  return errors;
}

WeightGradient SpikeGradient::from_static(const ClockEngine& engine, std::size_t p, ConstMatrix error) {
  Backend& backend = network_.backend();
  const Projection& projection = network_.projections()[p];
  const bool to_readout = network_.populations()[projection.target].kind == Population::Kind::readout;
  const std::size_t steps = engine.step_count();
  const ConstMatrix image = engine.activity(projection.source).mean_output;
  const std::size_t batch = engine.batch();
  const Matrix post = rows_[p].summed_post.matrix(batch, projection.targets());
  if ((to_readout ? form_.readout_trace : form_.input_trace) == Trace::spikes) {
    backend.traces().run(SumSteps{.steps = steps, .x = error, .sum = post});
    return {.post = post, .trace = image, .activity = image};
  }
  // The trace of a constant 1 since the first step of all, then times the errors of these steps.
  const PotentialResponse its =
      to_readout ? PotentialResponse{.decay = readout_leak_} : neurons(projection.target).response;
  double synapse = 0, response = 0;
  for (std::size_t t = 0; t < engine.first_step() + steps; ++t) {
    synapse = its.synapse_decay * synapse + 1;
    response = its.decay * response + synapse;
    if (t < engine.first_step()) continue;
    const std::size_t row = (t - engine.first_step()) * batch;
    backend.elementwise().run(Add{.alpha = static_cast<float>(response),
                                  .x = error.row_range(row, batch).values,
                                  .beta = row == 0 ? 0.0F : 1.0F,
                                  .y = post.values});
  }
  return {.post = post, .trace = image, .activity = image};
}

WeightGradient SpikeGradient::from_spikes(const ClockEngine& engine, std::size_t p, ConstMatrix error) {
  const Projection& projection = network_.projections()[p];
  const bool to_readout = network_.populations()[projection.target].kind == Population::Kind::readout;
  const std::size_t batch = engine.batch();
  const ConstSpikes events = engine.activity(projection.source).spikes;
  const Matrix rows = rows_[p].spikes.matrix(events.rows, projection.sources());
  network_.backend().delivery().run(ExpandSpikes{.spikes = events, .x = rows});
  const Presynaptic spikes(rows, events);

  const Trace trace = to_readout ? form_.readout_trace : form_.trace;
  const PotentialResponse response =
      to_readout && (readout_leak_ != 0.0F || trace == Trace::leaky_spikes)
          ? PotentialResponse{.decay = readout_leak_}
          : neurons(to_readout ? projection.source : projection.target).response;
  const bool filtered = trace != Trace::spikes;
  if (past_in_traces() && (filtered || projection.is_recurrent()))
    return {.post = error,
            .trace = filtered_spikes(engine, p, filtered ? response : PotentialResponse{}),
            .activity = spikes};
  const ConstMatrix post = filtered ? filtered_back(engine, p, response, error) : error;
  if (!projection.is_recurrent()) return {.post = post, .trace = spikes, .activity = spikes};
  // Spikes arrive one step later: those of the last step do not.
  const std::size_t arriving = events.rows - batch;
  return {.post = post.row_range(batch, arriving),
          .trace = {ConstMatrix(rows).first_rows(arriving), events.row_range(0, arriving)},
          .activity = spikes};
}

ConstMatrix SpikeGradient::filtered_spikes(const ClockEngine& engine, std::size_t p,
                                           const PotentialResponse& response) {
  Backend& backend = network_.backend();
  const Projection& projection = network_.projections()[p];
  const std::size_t batch = engine.batch();
  const std::size_t steps = engine.step_count();
  ProjectionRows& own = rows_[p];
  const Matrix all = own.traces.matrix((steps + 1) * batch, projection.sources());
  const Matrix now = all.row_range(batch, steps * batch);
  const Matrix last = own.last.matrix(batch, projection.sources());
  const Matrix last_synapse = own.last_synapse.matrix(batch, projection.sources());
  if (engine.first_step() == 0) {
    backend.clear(last.values);
    backend.clear(last_synapse.values);
  }
  backend.copy(View<const float>(last.values), all.first_rows(batch).values);
  backend.copy(ConstMatrix(own.spikes.matrix(now.rows, now.cols)).values, now.values);
  if (response.synapse_decay != 0.0F)
    backend.traces().run(
        Filter{.decay = response.synapse_decay, .steps = steps, .x = now, .last = last_synapse});
  backend.traces().run(Filter{.decay = response.decay, .steps = steps, .x = now, .last = last});
  return ConstMatrix(all).row_range(projection.is_recurrent() ? 0 : batch, steps * batch);
}

ConstMatrix SpikeGradient::filtered_back(const ClockEngine& engine, std::size_t p,
                                         const PotentialResponse& response, ConstMatrix error) {
  Backend& backend = network_.backend();
  const Matrix post = rows_[p].post.matrix(error.rows, error.cols);
  backend.copy(error.values, post.values);
  backend.traces().run(FilterBack{.decay = response.decay, .steps = engine.step_count(), .x = post});
  if (response.synapse_decay != 0.0F)
    backend.traces().run(
        FilterBack{.decay = response.synapse_decay, .steps = engine.step_count(), .x = post});
  return post;
}

}  // namespace orthospike
