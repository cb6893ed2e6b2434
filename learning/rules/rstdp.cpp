#include "learning/rules/rstdp.hpp"

#include <cmath>

#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/loss.hpp"

namespace orthospike {

void Rstdp::Settings::describe(SettingsVisitor& visit) {
  Stdp::Settings::describe(visit);
  visit(
      "rule.modulation", modulation,
      {{"reward", Modulation::reward,
        "of the sample, 1 when right and -1 when wrong, less the mean of the batch, so nothing is learned from "
        "batches of 1"},
       {"error", Modulation::error, "of the neuron, as the feedback brings it"}},
      "What multiplies eligibilities");
  visit("rule.eligibility_tau", eligibility_tau, positive, "ms",
        "Time constant at which eligibilities decay until the sample ends (1 s in Izhikevich, 2007).");
}

Rstdp::Rstdp(const Network& network, ErrorFeedback& feedback, const RuleContext& context,
             const Settings& settings)
    : Stdp(network, context, settings),
      feedback_(feedback),
      ranks_(context.ranks),
      modulation_(settings.modulation),
      eligibility_tau_(settings.eligibility_tau) {
  Backend& backend = network.backend();
  const std::size_t batch = max_batch_;
  if (modulation_ == Modulation::reward) {
    ones_ = backend.allocate<float>(batch);
    backend.upload(std::span<const float>(std::vector<float>(batch, 1.0F)), ones_.view());
    right_ = backend.allocate<float>(batch);
    mean_ = backend.allocate<float>(1);
    rewards_ = backend.allocate<float>(batch);
    factors_.push_back(backend.allocate<float>(steps_ * batch));
    return;
  }
  for (const Population& population : network.populations()) {
    const std::size_t size = population.kind == Population::Kind::spiking ? batch * population.size : 0;
    errors_.push_back(backend.allocate<float>(size));
    if (further_.size() < size) further_ = backend.allocate<float>(size);
    factors_.push_back(backend.allocate<float>(steps_ * size));
  }
}

void Rstdp::backward(const ClockEngine& engine, ConstMatrix readout_error, View<const Target> targets) {
  batch_ = engine.batch();
  if (modulation_ == Modulation::reward) {
    reward(engine, targets);
  } else {
    propagate_errors(engine, readout_error);
  }
  Stdp::backward(engine, readout_error, targets);
}

void Rstdp::backward_of_none() {
  if (modulation_ != Modulation::reward) return;
  network_.backend().clear(mean_.view());
  ranks_.sum(network_.backend(), mean_.view());
}

ConstMatrix Rstdp::modulation(std::size_t population) const {
  const std::size_t rows = steps_ * batch_;
  if (modulation_ == Modulation::reward) return factors_[0].matrix(rows, 1);
  return factors_[population].matrix(rows, network_.populations()[population].size);
}

void Rstdp::reward(const ClockEngine& engine, View<const Target> targets) {
  Backend& backend = network_.backend();
  const ConstMatrix right = right_.matrix(batch_, 1);
  const ConstMatrix ones = ones_.matrix(batch_, 1);
  const Matrix mean = mean_.matrix(1, 1);
  const Matrix rewards = rewards_.matrix(batch_, 1);
  backend.loss().run(
      MarkCorrect{.logits = engine.logits(), .targets = targets, .right = right_.view().subview(0, batch_)});
  // 1 and -1 less their mean are twice 1 and 0 less theirs.
  backend.dense().run(Multiply{.alpha = 1.0F / static_cast<float>(all_samples(engine)),
                               .a = right,
                               .transpose_a = true,
                               .b = ones,
                               .c = mean});
  ranks_.sum(backend, mean_.view());
  backend.dense().run(
      Multiply{.alpha = -2.0F, .a = ones, .b = mean, .beta = 2.0F, .addend = right, .c = rewards});
  spread(1.0F, rewards.values, factors_[0].view());
}

void Rstdp::propagate_errors(const ClockEngine& engine, ConstMatrix readout_error) {
  const auto returning = [&](std::size_t p) {
    const std::size_t target = network_.projections()[p].target;
    const Population& population = network_.populations()[target];
    if (population.kind == Population::Kind::readout) return ReturningError{readout_error};
    return ReturningError{errors_[target].matrix(batch_, population.size)};
  };
  for (std::size_t p = network_.projections().size(); p-- > 0;) {
    const std::size_t source = network_.projections()[p].source;
    const std::vector<std::size_t> from = network_.projections_from(source);
    if (errors_[source].size() == 0 || from.empty() || p != from.front()) continue;
    const Matrix errors = gather_errors(network_, feedback_, source, returning, readout_error,
                                        errors_[source].view(), further_.view());
    // The loss is a mean over the batch, and so is what Stdp makes of these factors.
    spread(-static_cast<float>(all_samples(engine)), ConstMatrix(errors).values, factors_[source].view());
  }
}

void Rstdp::spread(float scale, View<const float> values, View<float> factors) {
  for (std::size_t t = 0; t < steps_; ++t) {
    const auto left = static_cast<float>(steps_ - 1 - t);
    network_.backend().elementwise().run(Add{.alpha = scale * std::exp(-left * dt_ / eligibility_tau_),
                                             .x = values,
                                             .beta = 0.0F,
                                             .y = factors.subview(t * values.size(), values.size())});
  }
}

}  // namespace orthospike
