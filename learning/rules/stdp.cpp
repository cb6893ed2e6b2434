#include "learning/rules/stdp.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/delivery.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/error.hpp"
#include "kernels/traces.hpp"

namespace orthospike {

void Stdp::Settings::describe(SettingsVisitor& visit) {
  visit("rule.stdp", pairing,
        {{"pair", Pairing::pair, "each presynaptic with each postsynaptic one"},
         {"triplet", Pairing::triplet, "these, and those with a second spike of either side"}},
        "Which spikes are paired");
  visit("rule.stdp_tau_plus", tau_plus, positive, "ms",
        "Time constant of the presynaptic trace, which postsynaptic spikes potentiate by.");
  visit("rule.stdp_tau_minus", tau_minus, positive, "ms",
        "Time constant of the postsynaptic trace, which presynaptic spikes depress by.");
  visit("rule.stdp_a_plus", a_plus, not_negative, "-",
        "Potentiation of a pair at lag 0, times the learning rate; mean over the samples of a batch.");
  visit("rule.stdp_a_minus", a_minus, not_negative, "-", "The same of depression.");
  visit.only(pairing == Pairing::triplet, "rule.stdp triplet", [&] {
    visit("rule.stdp_tau_x", tau_x, positive, "ms", "Time constant of the slow presynaptic trace.");
    visit("rule.stdp_tau_y", tau_y, positive, "ms", "Time constant of the slow postsynaptic trace.");
    visit("rule.stdp_a3_plus", a3_plus, not_negative, "-", "Potentiation of a triplet at lags 0.");
    visit("rule.stdp_a3_minus", a3_minus, not_negative, "-", "The same of depression.");
  });
}

Stdp::Stdp(const Network& network, const RuleContext& context, const Settings& settings)
    : network_(network),
      steps_(context.clock.steps),
      max_batch_(context.max_batch),
      dt_(context.clock.dt),
      settings_(settings),
      gradients_(network.projections().size()) {
  Backend& backend = network.backend();
  const std::size_t steps = steps_;
  const std::size_t batch = max_batch_;
  std::size_t widest = 0;
  for (const Population& population : network.populations()) {
    PopulationRows& rows = rows_.emplace_back();
    widest = std::max(widest, population.size);
    if (population.kind != Population::Kind::spiking) continue;
    if (population.neuron->has_weighted_averages()) {
      throw ConfigError(
          fmt::format("rule.name: the rules stdp and rstdp pair spikes of height 1; set neuron.model to {}",
                      alternatives(neuron_models_with(&NeuronModel::Traits::has_weighted_averages, false))));
    }
    rows.spikes = backend.allocate<float>((steps + 1) * batch * population.size);
    rows.post = backend.allocate<float>(2 * steps * batch * population.size);
  }
  room_ = backend.allocate<float>(batch * widest);
  for (const Projection& projection : network.projections()) {
    const bool input = network.populations()[projection.source].is_static();
    traces_.push_back(backend.allocate<float>(2 * (input ? 1 : steps) * batch * projection.sources()));
    summed_.push_back(backend.allocate<float>(input ? 2 * batch * projection.targets() : 0));
  }
}

float Stdp::decay(float tau) const {
  return std::exp(-dt_ / tau);
}

void Stdp::trace(float decay, ConstMatrix spikes, Matrix result) {
  Backend& backend = network_.backend();
  const Matrix last = room_.matrix(spikes.rows / steps_, spikes.cols);
  backend.clear(last.values);
  backend.copy(spikes.values, result.values);
  backend.traces().run(Filter{.decay = decay, .steps = steps_, .x = result, .last = last});
}

void Stdp::earlier_trace(float tau, ConstMatrix spikes, Matrix result) {
  trace(decay(tau), spikes, result);
  network_.backend().elementwise().run(Add{.alpha = -1.0F, .x = spikes.values, .y = result.values});
}

void Stdp::weigh(float a, float a3, float tau, ConstMatrix spikes, Matrix result) {
  Backend& backend = network_.backend();
  if (settings_.pairing == Pairing::pair) {
    backend.elementwise().run(Add{.alpha = a, .x = spikes.values, .beta = 0.0F, .y = result.values});
    return;
  }
  earlier_trace(tau, spikes, result);
  backend.elementwise().run(Modulate{.factor = spikes, .x = result});
  backend.elementwise().run(Add{.alpha = a, .x = spikes.values, .beta = a3, .y = result.values});
}

void Stdp::backward(const ClockEngine& engine, ConstMatrix readout_error, View<const Target> /*targets*/) {
  for (std::size_t i = 0; i < network_.populations().size(); ++i) {
    if (network_.populations()[i].kind == Population::Kind::spiking) fill_post(engine, i);
  }
  for (std::size_t p = 0; p < gradients_.size(); ++p) {
    const Projection& projection = network_.projections()[p];
    if (network_.populations()[projection.target].kind == Population::Kind::readout) {
      gradients_[p] = to_readout(engine, p, readout_error);
    } else if (network_.populations()[projection.source].is_static()) {
      gradients_[p] = from_input(engine, p);
    } else {
      gradients_[p] = between_spikes(engine, p);
    }
  }
}

void Stdp::fill_post(const ClockEngine& engine, std::size_t population) {
  Backend& backend = network_.backend();
  const Settings& stdp = settings_;
  const std::size_t batch = engine.batch();
  const std::size_t size = network_.populations()[population].size;
  const std::size_t count = steps_ * batch;
  const Matrix all = rows_[population].spikes.matrix(batch + count, size);
  const Matrix spikes = all.row_range(batch, count);
  backend.clear(all.first_rows(batch).values);
  backend.delivery().run(ExpandSpikes{.spikes = engine.activity(population).spikes, .x = spikes});

  const Matrix post = rows_[population].post.matrix(2 * count, size);
  const Matrix potentiation = post.first_rows(count);
  const Matrix depression = post.row_range(count, count);
  const float share = 1.0F / static_cast<float>(all_samples(engine));
  weigh(-share * stdp.a_plus, -share * stdp.a3_plus, stdp.tau_y, spikes, potentiation);
  earlier_trace(stdp.tau_minus, spikes, depression);
  if (const ConstMatrix factor = modulation(population); !factor.empty()) {
    backend.elementwise().run(Modulate{.factor = factor, .x = potentiation});
    backend.elementwise().run(Modulate{.factor = factor, .x = depression});
  }
}

WeightGradient Stdp::between_spikes(const ClockEngine& engine, std::size_t p) {
  const Projection& projection = network_.projections()[p];
  const Settings& stdp = settings_;
  const std::size_t batch = engine.batch();
  const std::size_t count = steps_ * batch;
  const ConstMatrix spikes = rows_[projection.source]
                                 .spikes.matrix(batch + count, projection.sources())
                                 .row_range(projection.is_recurrent() ? 0 : batch, count);
  const Matrix traces = traces_[p].matrix(2 * count, projection.sources());
  const float share = 1.0F / static_cast<float>(all_samples(engine));
  trace(decay(stdp.tau_plus), spikes, traces.first_rows(count));
  weigh(share * stdp.a_minus, share * stdp.a3_minus, stdp.tau_x, spikes, traces.row_range(count, count));
  return {.post = rows_[projection.target].post.matrix(2 * count, projection.targets()),
          .trace = traces,
          .activity = spikes};
}

WeightGradient Stdp::from_input(const ClockEngine& engine, std::size_t p) {
  Backend& backend = network_.backend();
  const Projection& projection = network_.projections()[p];
  const Settings& stdp = settings_;
  const std::size_t steps = steps_;
  const std::size_t batch = engine.batch();
  const ConstMatrix image = engine.activity(projection.source).mean_output;
  const ConstMatrix rows = rows_[projection.target].post.matrix(2 * steps * batch, projection.targets());
  const ConstMatrix potentiation = rows.first_rows(steps * batch);
  const ConstMatrix depression = rows.row_range(steps * batch, steps * batch);
  const float share = 1.0F / static_cast<float>(all_samples(engine));

  const Matrix post = summed_[p].matrix(2 * batch, projection.targets());
  const Matrix of_pairs = post.first_rows(batch);
  const Matrix depressed = room_.matrix(batch, projection.targets());
  backend.traces().run(
      SumSteps{.decay = decay(stdp.tau_plus), .steps = steps, .x = potentiation, .sum = of_pairs});
  backend.traces().run(SumSteps{.scale = share, .steps = steps, .x = depression, .sum = depressed});
  backend.elementwise().run(Add{.alpha = stdp.a_minus, .x = depressed.values, .y = of_pairs.values});
  if (stdp.pairing == Pairing::pair) return {.post = of_pairs, .trace = image, .activity = image};

  const Matrix of_triplets = post.row_range(batch, batch);
  backend.traces().run(SumSteps{.scale = share * stdp.a3_minus,
                                .decay = decay(stdp.tau_x),
                                .steps = steps,
                                .x = depression,
                                .sum = of_triplets});
  backend.elementwise().run(Add{.alpha = -stdp.a3_minus, .x = depressed.values, .y = of_triplets.values});
  const Matrix traces = traces_[p].matrix(2 * batch, projection.sources());
  const Matrix squares = traces.row_range(batch, batch);
  backend.copy(image.values, traces.first_rows(batch).values);
  backend.copy(image.values, squares.values);
  backend.elementwise().run(Modulate{.factor = image, .x = squares});
  return {.post = post, .trace = traces, .activity = image};
}

WeightGradient Stdp::to_readout(const ClockEngine& engine, std::size_t p, ConstMatrix readout_error) {
  const Projection& projection = network_.projections()[p];
  const float leak = network_.populations()[projection.target].leak;
  ConstMatrix mean = engine.activity(projection.source).mean_output;
  if (leak != 0.0F && network_.populations()[projection.source].is_static()) {
    float kept = 0, sum = 0;
    for (std::size_t t = 0; t < steps_; ++t) {
      kept = leak * kept + 1;
      sum += kept;
    }
    const Matrix result = traces_[p].matrix(mean.rows, mean.cols);
    network_.backend().elementwise().run(
        Add{.alpha = sum / static_cast<float>(steps_), .x = mean.values, .beta = 0.0F, .y = result.values});
    mean = result;
  } else if (leak != 0.0F) {  // what the mean read-out keeps of each step's spikes
    const std::size_t batch = engine.batch();
    const std::size_t count = steps_ * batch;
    const ConstMatrix spikes =
        rows_[projection.source].spikes.matrix(batch + count, projection.sources()).row_range(batch, count);
    const Matrix all = traces_[p].matrix(count + batch, projection.sources());
    const Matrix result = all.row_range(count, batch);
    trace(leak, spikes, all.first_rows(count));
    network_.backend().traces().run(SumSteps{.scale = 1.0F / static_cast<float>(steps_),
                                             .steps = steps_,
                                             .x = all.first_rows(count),
                                             .sum = result});
    mean = result;
  }
  return {.post = readout_error, .trace = mean, .activity = mean};
}

}  // namespace orthospike
