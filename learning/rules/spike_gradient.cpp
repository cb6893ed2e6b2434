#include "learning/rules/spike_gradient.hpp"

#include <fmt/format.h>

namespace orthospike {

SpikeGradient::SpikeGradient(const Network& network, ErrorFeedback& feedback, const RuleSettings& settings,
                             Form form)
    : network_(network),
      feedback_(feedback),
      settings_(settings),
      form_(form),
      gradients_(network.projections().size()) {
  Backend& backend = network.backend();
  const std::size_t rows = settings.steps * settings.max_batch;
  for (std::size_t i = 0; i < network.populations().size(); ++i) {
    const Population& population = network.populations()[i];
    PopulationErrors& errors = errors_.emplace_back();
    if (population.kind == Population::Kind::readout) {
      readout_leak_ = population.leak;
      readout_errors_ = backend.allocate<float>(rows * population.size);
    }
    if (population.kind != Population::Kind::spiking) continue;
    if (dynamic_cast<const LifModel*>(population.neuron.get()) == nullptr) {
      throw ConfigError(fmt::format(
          "rule.name: the rule {} needs surrogate derivatives; set neuron.model to lif, if or alif",
          form_.name));
    }
    if (!settings.detached_reset && lif(i).hard_reset && lif(i).adaptation != 0.0F)
      throw ConfigError("rule.detached_reset: errors through a hard reset of alif neurons are not defined");
    errors.by_spike = backend.allocate<float>(rows * population.size);
    errors.by_current = backend.allocate<float>(rows * population.size);
  }
  for (const Projection& projection : network.projections()) {
    ProjectionTraces& traces = traces_.emplace_back();
    if (form_.through_time && projection.is_recurrent()) {
      throw ConfigError(fmt::format(
          "network.recurrent: the rule {} does not go back through recurrent projections; use eprop or ottt",
          form_.name));
    }
    if (network.populations()[projection.source].kind == Population::Kind::input) {
      traces.summed_post = backend.allocate<float>(settings.max_batch * projection.fan_out);
      continue;
    }
    const std::size_t size = settings.max_batch * projection.fan_in;
    traces.rows = backend.allocate<float>((settings.steps + 1) * size);
    traces.last = backend.allocate<float>(size);
    traces.last_synapse = backend.allocate<float>(size);
    if (form_.spikes_in_activity) traces.spikes = backend.allocate<float>(2 * settings.steps * size);
  }
}

std::size_t SpikeGradient::max_rows() const {
  return (form_.spikes_in_activity ? 2 : 1) * settings_.steps * settings_.max_batch;
}

const Lif& SpikeGradient::lif(std::size_t population) const {
  return static_cast<const LifModel&>(*network_.populations()[population].neuron).constants();
}

void SpikeGradient::backward(const ClockEngine& engine, ConstMatrix readout_error, const Targets& targets) {
  Backend& backend = network_.backend();
  const std::size_t steps = engine.step_count();
  const ConstMatrix readout = readout_current_error(engine, readout_error);
  // Projections are listed in feed-forward order, recurrent ones after those that reach their population: by
  // the time one is visited, its target's error is complete.
  for (std::size_t p = network_.projections().size(); p-- > 0;) {
    const Projection& projection = network_.projections()[p];
    const Population& source = network_.populations()[projection.source];
    const bool to_readout = network_.populations()[projection.target].kind == Population::Kind::readout;
    if (source.kind == Population::Kind::input) {
      gradients_[p] = from_input(engine, p);
      continue;
    }
    const ConstMatrix post = to_readout ? readout
                                        : ConstMatrix(errors_[projection.target].by_current.matrix(
                                              steps * engine.batch(), projection.fan_out));
    const ConstMatrix all = trace(engine, p, to_readout ? form_.readout_trace : form_.trace,
                                  lif(to_readout ? projection.source : projection.target));
    gradients_[p] = {.post = post, .trace = all, .activity = all};
    if (post.rows < all.rows)  // the same error in all steps: one row a sample, with the sum of the traces
      gradients_[p].post = readout_error,
      gradients_[p].trace = engine.activity(projection.source).mean_output;
    if (form_.spikes_in_activity) gradients_[p].activity = traces_[p].spikes.matrix(2 * all.rows, all.cols);

    if (projection.is_recurrent()) continue;
    PopulationErrors& errors = errors_[projection.source];
    const ConstMatrix by_spike = error_by_spike(engine, p, post, readout, targets, errors.by_spike.view());
    backend.lif_backward(lif(projection.source),
                         {.surrogate = settings_.surrogate,
                          .slope = settings_.slope,
                          .through_time = form_.through_time,
                          .detached_reset = settings_.detached_reset},
                         steps, engine.activity(projection.source).margin, by_spike,
                         errors.by_current.matrix(steps * engine.batch(), source.size));
  }
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
      backend.add(1.0F / static_cast<float>(engine.steps()), readout_error.values, 0.0F,
                  errors.row_range(t * batch, batch).values);
    }
  }
  if (readout_leak_ != 0.0F) backend.filter_back(readout_leak_, steps, errors);
  return errors;
}

WeightGradient SpikeGradient::from_input(const ClockEngine& engine, std::size_t p) {
  const Projection& projection = network_.projections()[p];
  const std::size_t steps = engine.step_count();
  const ConstMatrix image = engine.activity(projection.source).mean_output;
  const Matrix post = traces_[p].summed_post.matrix(engine.batch(), projection.fan_out);
  PopulationErrors& errors = errors_[projection.target];
  Matrix by_current = errors.by_current.matrix(steps * engine.batch(), projection.fan_out);
  float decay = 0;
  if (form_.input_trace == Trace::filtered_spikes) {
    const Lif& neuron = lif(projection.target);
    decay = neuron.decay;
    if (neuron.synapse_decay != 0.0F) {  // one of two filters goes back over the errors instead
      const Matrix filtered = errors.by_spike.matrix(by_current.rows, by_current.cols);
      network_.backend().copy(View<const float>(by_current.values), filtered.values);
      network_.backend().filter_back(neuron.synapse_decay, steps, filtered);
      by_current = filtered;
    }
  }
  network_.backend().sum_steps(1.0F, decay, steps, by_current, post);
  return {.post = post, .trace = image, .activity = image};
}

ConstMatrix SpikeGradient::trace(const ClockEngine& engine, std::size_t p, Trace kind,
                                 const Lif& filtered_by) {
  Backend& backend = network_.backend();
  const Projection& projection = network_.projections()[p];
  const std::size_t batch = engine.batch();
  const std::size_t steps = engine.step_count();
  ProjectionTraces& traces = traces_[p];
  const Matrix all = traces.rows.matrix((steps + 1) * batch, projection.fan_in);
  const Matrix rows = all.row_range(batch, steps * batch);
  const Matrix last = traces.last.matrix(batch, projection.fan_in);
  const Matrix last_synapse = traces.last_synapse.matrix(batch, projection.fan_in);
  if (engine.first_step() == 0) {
    backend.clear(last.values);
    backend.clear(last_synapse.values);
  }
  const ConstMatrix late = ConstMatrix(all).first_rows(steps * batch);

  if (projection.is_recurrent()) backend.copy(View<const float>(last.values), all.first_rows(batch).values);
  backend.expand_spikes(engine.activity(projection.source).spikes, rows);
  if (form_.spikes_in_activity) {
    backend.copy(View<const float>(rows.values),
                 traces.spikes.matrix(2 * rows.rows, rows.cols).row_range(0, rows.rows).values);
  }
  const bool filtered = kind == Trace::filtered_spikes;
  if (filtered && filtered_by.synapse_decay != 0.0F)
    backend.filter(filtered_by.synapse_decay, steps, rows, last_synapse);
  if (filtered || projection.is_recurrent())
    backend.filter(filtered ? filtered_by.decay : 0.0F, steps, rows, last);
  const ConstMatrix result = projection.is_recurrent() ? late : ConstMatrix(rows);
  if (form_.spikes_in_activity) {
    backend.copy(result.values,
                 traces.spikes.matrix(2 * rows.rows, rows.cols).row_range(rows.rows, rows.rows).values);
  }
  return result;
}

}  // namespace orthospike
