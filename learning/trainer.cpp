#include "learning/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "kernels/elementwise.hpp"
#include "kernels/encoding.hpp"
#include "kernels/error.hpp"
#include "kernels/loss.hpp"
#include "kernels/traces.hpp"

namespace orthospike {

namespace {

/// Throws ConfigError where boundaries are hidden from what must know them.
void check_boundaries(const Config& config) {
  if (config.tasks.boundaries == TaskSettings::Boundaries::known) return;
  if (config.protection.is_joint())
    throw ConfigError("tasks.boundaries: joint training has none to hide; leave it at known");
  if (config.protection.has_replay()) {
    throw ConfigError(
        "tasks.boundaries: replay follows each task and stores samples of it, so it must know where tasks end");
  }
  if (config.schedule.form != ScheduleSettings::Form::constant) {
    throw ConfigError(
        "tasks.boundaries: a learning rate that changes goes by the length of a task, which is not known where "
        "boundaries are hidden; use optimiser.schedule constant");
  }
  if (config.schedule.learning_rates.size() > 1)
    throw ConfigError(
        "tasks.boundaries: hidden ones do not say when the next of several learning rates begins; give one");
}

/// Throws ConfigError for what federated training does not do.
void check_federated(const Config& config) {
  if (!config.federated.is_on()) return;
  if (config.tasks.boundaries == TaskSettings::Boundaries::hidden)
    throw ConfigError("federated.clients: a server must know where tasks end; use tasks.boundaries known");
  if (config.tasks.mixing > 0)
    throw ConfigError(
        "federated.clients: clients hold samples of one task at a time; leave tasks.mixing at 0");
  if (config.protection.has_replay()) {
    throw ConfigError(
        "federated.clients: replay needs stored samples, and a server has none; choose another protection.name");
  }
  if (config.federated.is_protected == FederatedSettings::Protected::averages &&
      !config.protection.protection().traits().is_linear) {
    throw ConfigError(
        "federated.protected: lateral neurons that are not linear do not answer averages of changes, which are far "
        "below one of their quanta; use steps");
  }
}

/// Throws ConfigError for what has no whole batches, whose statistics normalisation takes.
void check_normalisation(const Config& config, const Communicator& ranks) {
  if (!config.network.has_normalisation() ||
      config.network.normalisation.statistics == NormalisationSettings::Statistics::frozen)
    return;
  if (ranks.size() > 1) {
    throw ConfigError(
        "normalisation.statistics: those of a batch are of all its samples, of which each rank has a part; run one rank, "
        "or use frozen");
  }
  if (config.federated.is_on()) {
    throw ConfigError(
        "normalisation.statistics: clients have statistics of their own, which no average joins; use frozen");
  }
}

}  // namespace

Trainer::Trainer(Backend& backend, const Config& config, const MapShape& input, std::size_t logits,
                 Communicator& ranks)
    : backend_(backend),
      ranks_(ranks),
      moments_{config.data.mean.value(), config.data.deviation.value()},
      batch_size_(config.training.batch_size),
      protects_linearly_(config.protection.protection().traits().is_linear),
      protects_averages_(config.federated.is_on() &&
                         config.federated.is_protected == FederatedSettings::Protected::averages),
      observes_(config.protection.protection().traits().observes),
      observed_every_(config.protection.stride()),
      network_(backend),
      replay_learning_rate_(config.protection.replay().learning_rate),
      schedule_(config.schedule) {
  check_boundaries(config);
  check_federated(config);
  check_normalisation(config, ranks);
  config.network.build(network_, input, logits, config.neuron, config.clock, config.experiment.seed);
  const ProtectionPlan& plan = config.protection;
  const bool updates_each_step = config.training.update == TrainingSettings::Update::step;
  const std::size_t whole_batch =
      plan.has_replay() ? std::max(batch_size_, plan.replay().batch_size) : batch_size_;
  const std::size_t max_batch =
      config.federated.is_on() ? whole_batch : ranks.largest_slice(whole_batch);  // a client has one rank
  feedback_ = config.feedback.make(network_, config.experiment.seed);
  rule_ = config.rule.make(network_, *feedback_,
                           RuleContext{.seed = config.experiment.seed,
                                       .max_batch = max_batch,
                                       .clock = config.clock,
                                       .past_in_traces = updates_each_step || !protects_linearly_,
                                       .ranks = ranks});
  if (updates_each_step && !rule_->is_online()) {
    throw ConfigError(
        fmt::format("rule.update: gradients of the rule {} need later steps here, so that weights can only "
                    "change after the whole sequence",
                    config.rule.name()));
  }
  engine_ = std::make_unique<ClockEngine>(network_, config.clock.steps, max_batch, config.delivery,
                                          rule_->most_steps(config.clock.steps));
  steps_per_update_ = updates_each_step ? 1 : config.clock.steps;
  steps_per_run_ = std::min(steps_per_update_, engine_->most_at_once());
  shared_projections_ = orthospike::shared_projections(network_, config.sequence.traits().separate_readouts);
  protection_ = std::make_unique<FirstProjections>(
      plan.protection().make(ProtectionContext{.backend = backend,
                                               .projections = shared_projections_,
                                               .seed = config.experiment.seed,
                                               .max_rows = rule_->max_rows(),
                                               .ranks = ranks}),
      shared_projections_.size());
  const bool trains_all = config.training.trained == TrainingSettings::Trained::all;
  for (std::size_t p = 0; p < network_.projections().size(); ++p) {
    const bool to_readout =
        network_.populations()[network_.projections()[p].target].kind == Population::Kind::readout;
    if (!trains_all && !to_readout) continue;
    const Matrix feedback = feedback_->learned_weights(p);
    if (!feedback.empty()) learned_.push_back({.projection = p, .feedback = true, .weights = feedback});
    learned_.push_back({.projection = p, .feedback = false, .weights = network_.projections()[p].matrix()});
  }
  constants_ = std::make_unique<PopulationConstants>(network_, trains_all);
  const std::size_t parameters = learned_.size() + constants_->values().size();
  optimiser_ = config.optimiser.make(backend, parameters);
  if (optimiser_->linear_steps() == nullptr && !protects_linearly_) {
    throw ConfigError(fmt::format(
        "optimiser.name: responses of lateral neurons that are not linear cannot be taken out of the "
        "steps of {} here, which are far below one of their quanta; use linear lateral neurons, or "
        "sgd without weight decay",
        config.optimiser.name()));
  }
  if (plan.has_replay()) replay_optimiser_ = config.optimiser.make(backend, parameters);
  if (plan.has_replay() || steps_per_run_ < steps_per_update_) {
    for (const Learned& learned : learned_)
      summed_gradients_.push_back(backend.allocate<float>(learned.weights.values.size()));
  }
  if (config.detects_boundaries()) {
    detector_ = std::make_unique<BoundaryDetector>(backend, input.size(), run_size(), config.experiment.seed,
                                                   config.boundaries, ranks);
  }
  if (config.federated.is_on()) {
    std::vector<View<float>> shared;
    for (const Learned& learned : learned_) shared.push_back(learned.weights.values);
    shared.insert(shared.end(), constants_->values().begin(), constants_->values().end());
    federated_ = std::make_unique<FederatedAverage>(backend, std::move(shared));
  }
  logit_gradient_ = backend.allocate<float>(engine_->most_at_once() * max_batch * logits);
  summed_error_ = backend.allocate<float>(max_batch * logits);
  unused_loss_ = backend.allocate<double>(1);
  unused_correct_ = backend.allocate<std::uint32_t>(1);
  share_ = backend.allocate<float>(1);
}

void Trainer::begin_task(std::size_t task, const TaskLength& length) {
  task_ = task;
  trains_constants_ = task == 0;
  task_length_ = length;
  updates_ = 0;
  protection_->begin_task(task);
  optimiser_->begin_task();
}

void Trainer::end_task() {
  const PhaseTimer timer(seconds_, Phase::extract);
  protection_->end_task();
}

void Trainer::state(Archive& archive) {
  archive("network", network_);
  archive("feedback", *feedback_);
  archive("rule", *rule_);
  archive("protection", *protection_);
  archive("optimiser", *optimiser_);
  if (replay_optimiser_ != nullptr) archive("replay_optimiser", *replay_optimiser_);
  if (detector_ != nullptr) archive("boundary_detector", *detector_);
  if (federated_ != nullptr) archive("federated_average", *federated_);
  archive.resizable("detected_boundaries", detected_boundaries_);
  archive("task", task_);
  archive("epochs", task_length_.epochs);
  archive("updates_per_epoch", task_length_.updates_per_epoch);
  archive("updates", updates_);
  archive("updates_of_all", updates_of_all_);
  archive("trains_constants", trains_constants_);
  for (std::size_t i = 0; i < seconds_.size(); ++i)
    archive(std::string("seconds_") + phase_names[i], seconds_[i]);
}

void Trainer::run_batch(const ShownImages& images, View<const std::uint32_t> samples) {
  encode(images, samples, engine_->input(samples.size()));
  engine_->run();
}

Trainer::Part Trainer::encode_slice(const Batch& batch) {
  const PhaseTimer timer(seconds_, Phase::encode);
  const auto [first, own] = ranks_.slice(batch.samples.size());
  const Part part{.samples = batch.samples.subview(first, own),
                  .targets = batch.targets.subview(first, own),
                  .of_ranks = batch.samples.size()};
  if (own == 0) return part;
  const Matrix input = engine_->input(own);
  std::size_t begin = 0;  // of the share in the batch
  for (const auto& [count, images, task] : batch.shares) {
    const std::size_t from = std::clamp(begin, first, first + own);
    const std::size_t size = std::clamp(begin + count, first, first + own) - from;
    if (size > 0) encode(images, batch.samples.subview(from, size), input.row_range(from - first, size));
    begin += count;
  }
  return part;
}

void Trainer::train_batch(const Batch& batch, View<double> loss, View<std::uint32_t> correct) {
  std::optional<Communicator::Apart> apart;
  if (federated_ != nullptr) apart.emplace(ranks_);
  const Part part = encode_slice(batch);
  ++updates_of_all_;
  if (begins_task(part)) {
    detected_boundaries_.push_back(updates_of_all_);
    end_task();
    begin_task(task_ + 1, task_length_);
  }
  rate_ = schedule_.learning_rate(task_, updates_++, task_length_);
  const bool is_whole = steps_per_run_ == steps_per_update_;
  for (std::size_t first = 0; first < engine_->steps(); first += steps_per_run_) {
    compute_gradients(part, first, std::min(steps_per_run_, engine_->steps() - first), loss, correct);
    if (trains_constants_) {
      const PhaseTimer timer(seconds_, Phase::update);
      constants_->sum_gradients(part.samples.empty() ? nullptr : rule_.get(), first > 0);
    }
    for (std::size_t parameter = 0; parameter < learned_.size(); ++parameter) {
      const std::size_t p = learned_[parameter].projection;
      if (is_whole) {
        update_weights(part, parameter);
      } else {
        // Only traces can be protected now where the operator is not linear.
        ChangeOperator* const projector = operator_on_update(parameter);
        find_gradient(part, parameter, first > 0,
                      projector != nullptr && projector->linear() == nullptr ? projector : nullptr,
                      summed_gradient(parameter));
      }
      if (!learned_[parameter].feedback && federated_ == nullptr) observe(part, p);
    }
  }
  for (std::size_t parameter = 0; parameter < learned_.size() && !is_whole; ++parameter) {
    sum_over_ranks(summed_gradient(parameter));
    update_by_gradient(parameter, summed_gradient(parameter), false);
  }
  if (trains_constants_) {
    const PhaseTimer timer(seconds_, Phase::update);
    constants_->step(*optimiser_, learned_.size(), rate_, ranks_);
  }
}

void Trainer::observe(const Part& part, std::size_t projection) {
  if (!observes_ || projection >= shared_projections_.size()) return;
  const PhaseTimer timer(seconds_, Phase::extract);
  const Projection& of = network_.projections()[projection];
  const bool has_some = !part.samples.empty();
  WeightGradient gradient;
  if (has_some) {
    gradient = rule_->weight_gradient(projection);
    gradient.activity.rows_of_ranks = gradient.activity.rows * part.of_ranks / part.samples.size();
  } else {
    gradient.activity = ConstMatrix{.values = {}, .rows = 0, .cols = of.sources()};
    gradient.post = {.values = {}, .rows = 0, .cols = of.targets()};
  }
  if (part.of_ranks < ranks_.size()) {  // those that have none hear from the others what it is
    std::array<double, 2> seen{static_cast<double>(gradient.activity.rows),
                               gradient.activity.has_events() ? 1.0 : 0.0};
    ranks_.sum(std::span(seen));
    gradient.activity.rows_of_ranks = static_cast<std::size_t>(seen[0]);
    if (seen[1] > 0) gradient.activity.spikes.neurons = of.sources();
  }
  const Pairs seen =
      of.connection->sampled_pairs(backend_, gradient.activity, gradient.post, observed_every_);
  protection_->observe(projection, seen.trace, seen.post);
}

bool Trainer::begins_task(const Part& part) {
  const PhaseTimer timer(seconds_, Phase::extract);
  if (detector_ == nullptr) return false;
  const std::size_t inputs = network_.populations()[network_.projections()[0].source].size;
  Presynaptic activity(part.samples.empty() ? ConstMatrix{{}, 0, inputs}
                                            : engine_->input(part.samples.size()));
  activity.rows_of_ranks = part.of_ranks;
  return detector_->begins_with(activity);
}

void Trainer::begin_replay() {
  replay_optimiser_->begin_task();
}

void Trainer::replay_batch(const Batch& batch, View<double> loss, View<std::uint32_t> correct) {
  std::size_t shown = 0;
  for (const Share& share : batch.shares) {
    const Part part = encode_slice({.samples = batch.samples.subview(shown, share.samples),
                                    .targets = batch.targets.subview(shown, share.samples),
                                    .shares = {&share, 1}});
    for (std::size_t first = 0; first < engine_->steps(); first += engine_->most_at_once()) {
      compute_gradients(part, first, std::min(engine_->most_at_once(), engine_->steps() - first), loss,
                        correct);
      for (std::size_t i = 0; i < learned_.size(); ++i)
        find_gradient(part, i, shown + first > 0, nullptr, summed_gradient(i));
    }
    shown += share.samples;
  }
  const PhaseTimer timer(seconds_, Phase::update);
  for (std::size_t i = 0; i < learned_.size(); ++i) {
    ranks_.sum(backend_, summed_gradients_[i].view());
    const View<float> weights = learned_[i].weights.values;
    replay_optimiser_->find_direction(i, weights, summed_gradients_[i].view());
    backend_.elementwise().run(
        Add{.alpha = -replay_learning_rate_, .x = summed_gradients_[i].view(), .y = weights});
  }
}

void Trainer::begin_client(const TaskLength& length, std::size_t updates) {
  federated_->begin_client();
  optimiser_->begin_task();
  task_length_ = length;
  updates_ = updates;
}

void Trainer::end_client(float share) {
  const PhaseTimer timer(seconds_, Phase::update);
  federated_->end_client(share);
}

void Trainer::leave_client() {
  federated_->leave_client();
}

void Trainer::end_round() {
  const PhaseTimer timer(seconds_, Phase::protect);
  federated_->end_round(ranks_, [&](std::size_t i, View<float> change) {
    if (i >= learned_.size()) return;  // no weights
    ChangeOperator* const projector = protects_averages_ ? operator_on(i) : nullptr;
    const Matrix& weights = learned_[i].weights;
    if (projector != nullptr) projector->linear()->apply_to_gradient({change, weights.rows, weights.cols});
  });
}

void Trainer::observe_batch(const Batch& batch, View<double> loss, View<std::uint32_t> correct) {
  const Part part = encode_slice(batch);
  for (std::size_t first = 0; first < engine_->steps(); first += steps_per_run_) {
    compute_gradients(part, first, std::min(steps_per_run_, engine_->steps() - first), loss, correct);
    for (std::size_t p = 0; p < network_.projections().size(); ++p) observe(part, p);
  }
}

void Trainer::encode(const ShownImages& images, View<const std::uint32_t> samples, Matrix input) {
  const auto [mean, deviation] = images.moments.value_or(moments_);
  backend_.encoding().run(EncodeImages{.images = images.pixels,
                                       .samples = samples,
                                       .pixel_order = images.pixel_order,
                                       .mean = mean,
                                       .deviation = deviation,
                                       .currents = input});
}

void Trainer::compute_gradients(const Part& part, std::size_t first, std::size_t count, View<double> loss,
                                View<std::uint32_t> correct) {
  const View<const Target> targets = part.targets;
  rule_->share_batch(part.of_ranks);
  if (targets.empty()) {
    const PhaseTimer timer(seconds_, Phase::rule);
    rule_->backward_of_none();
    return;
  }
  {
    const PhaseTimer timer(seconds_, Phase::forward);
    Recording recording = rule_->recording();
    recording.trains_normalisation = trains_constants_;
    engine_->run_steps(first, count, recording);
  }
  const PhaseTimer timer(seconds_, Phase::rule);
  const auto gradient_for = [&](ConstMatrix logits) {
    return logit_gradient_.matrix(logits.rows, logits.cols);
  };
  const ConstMatrix logits = engine_->logits();
  if (!rule_->has_step_losses()) {
    backend_.loss().run(CrossEntropy{.logits = logits,
                                     .targets = targets,
                                     .logit_gradient = gradient_for(logits),
                                     .loss = loss,
                                     .correct = correct});
    scale_to_all(part, gradient_for(logits));
    readout_error_ = gradient_for(logits);
    rule_->backward(*engine_, readout_error_, targets);
    return;
  }
  // The answer is that of the mean logits, known after the last step.
  if (first + count == engine_->steps()) {
    backend_.loss().run(CrossEntropy{.logits = logits,
                                     .targets = targets,
                                     .logit_gradient = gradient_for(logits),
                                     .loss = unused_loss_.view(),
                                     .correct = correct});
  }
  const ConstMatrix each = engine_->step_logits();
  const float share = static_cast<float>(count) / static_cast<float>(engine_->steps());
  backend_.loss().run(CrossEntropy{.logits = each,
                                   .targets = targets,
                                   .weight = share,
                                   .logit_gradient = gradient_for(each),
                                   .loss = loss,
                                   .correct = unused_correct_.view()});
  scale_to_all(part, gradient_for(each));
  rule_->backward(*engine_, gradient_for(each), targets);
  const Matrix sum = summed_error_.matrix(targets.size(), each.cols);
  backend_.traces().run(SumSteps{.steps = count, .x = gradient_for(each), .sum = sum});
  readout_error_ = sum;
}

void Trainer::scale_to_all(const Part& part, Matrix gradient) {
  if (part.targets.size() == part.of_ranks) return;
  const float share = static_cast<float>(part.targets.size()) / static_cast<float>(part.of_ranks);
  backend_.upload(std::span(&share, 1), share_.view());
  const std::size_t size = gradient.values.size();
  backend_.elementwise().run(
      Modulate{.factor = std::as_const(share_).matrix(1, 1), .x = {gradient.values, 1, size}});
}

bool Trainer::is_of_rule(std::size_t parameter) const {
  const auto& [p, feedback, weights] = learned_[parameter];
  const Projection& projection = network_.projections()[p];
  return !feedback || network_.populations()[projection.target].kind == Population::Kind::readout;
}

Pairs Trainer::pairs_of(std::size_t parameter) const {
  const std::size_t p = learned_[parameter].projection;
  if (!is_of_rule(parameter))
    return {engine_->activity(network_.projections()[p].source).average_output, readout_error_};
  const WeightGradient gradient = rule_->weight_gradient(p);
  return network_.projections()[p].connection->pairs(backend_, gradient.trace, gradient.post);
}

ChangeOperator* Trainer::operator_on(std::size_t parameter) const {
  const std::size_t p = learned_[parameter].projection;
  return is_of_rule(parameter) ? protection_->change_operator(p) : protection_->presynaptic_operator(p);
}

std::size_t Trainer::most_rows(const Part& part, std::size_t parameter) const {
  if (part.of_ranks < ranks_.size()) return 1;  // not all know how many rows a sample has
  // What pairs_of gives has so many rows, without finding them.
  const std::size_t p = learned_[parameter].projection;
  const std::size_t rows = is_of_rule(parameter) ? rule_->weight_gradient(p).trace.rows *
                                                       network_.projections()[p].connection->places()
                                                 : part.samples.size();
  return rows / part.samples.size() * ranks_.largest_slice(part.of_ranks);
}

/// The operator on N pairs costs about as much as on N columns of the summed gradient or the direction, which has
/// `targets`: 2·M·n each with M subspace rows, n² with a whole matrix. The fewer are taken where the optimiser
/// allows both. Without an operator pairs need no sum where they are at hand: those of many places must be made first.
void Trainer::update_weights(const Part& part, std::size_t parameter) {
  const Matrix weights = learned_[parameter].weights;
  ChangeOperator* const projector = operator_on_update(parameter);
  LinearOperator* const of_sums = projector == nullptr ? nullptr : projector->linear();
  LinearSteps* const linear = optimiser_->linear_steps();
  const std::size_t places = network_.projections()[learned_[parameter].projection].connection->places();
  const bool takes_pairs =
      projector == nullptr ? places == 1 : of_sums == nullptr || most_rows(part, parameter) <= weights.cols;
  const bool by_pairs = linear != nullptr && takes_pairs;
  if (by_pairs && ranks_.is_alone()) {
    update_by_pairs(*linear, parameter);
    return;
  }
  const std::size_t size = weights.values.size();
  if (direction_.size() < size) direction_ = backend_.allocate<float>(size);
  const Matrix direction = direction_.matrix(weights.rows, weights.cols);
  find_gradient(part, parameter, false, by_pairs ? projector : nullptr, direction);
  sum_over_ranks(direction);
  update_by_gradient(parameter, direction, by_pairs);
}

void Trainer::find_gradient(const Part& part, std::size_t parameter, bool to_others,
                            ChangeOperator* projector, Matrix gradient) {
  if (part.samples.empty()) {
    if (!to_others) backend_.clear(gradient.values);
    return;
  }
  const float beta = to_others ? 1.0F : 0.0F;
  if (projector == nullptr && is_of_rule(parameter)) {
    const PhaseTimer timer(seconds_, Phase::update);
    const std::size_t p = learned_[parameter].projection;
    const WeightGradient of_rule = rule_->weight_gradient(p);
    network_.projections()[p].connection->add_gradient(backend_, of_rule.trace, of_rule.post, beta, gradient);
    return;
  }
  const Pairs pairs = protected_pairs(parameter, projector);
  const PhaseTimer timer(seconds_, Phase::update);
  add_outer_products(backend_, 1.0F, pairs.trace, pairs.post, beta, gradient);
}

void Trainer::sum_over_ranks(Matrix gradient) {
  const PhaseTimer timer(seconds_, Phase::update);
  ranks_.sum(backend_, gradient.values);
}

Pairs Trainer::protected_pairs(std::size_t parameter, ChangeOperator* projector) {
  const Pairs pairs = pairs_of(parameter);
  if (projector == nullptr) return pairs;
  const PhaseTimer timer(seconds_, Phase::protect);
  return projector->apply_to_pairs(pairs);
}

Matrix Trainer::summed_gradient(std::size_t parameter) {
  const Matrix& weights = learned_[parameter].weights;
  return summed_gradients_[parameter].matrix(weights.rows, weights.cols);
}

void Trainer::update_by_gradient(std::size_t parameter, Matrix gradient, bool is_projected) {
  const View<float> weights = learned_[parameter].weights.values;
  ChangeOperator* const projector = operator_on_update(parameter);
  LinearOperator* const of_sums = projector == nullptr ? nullptr : projector->linear();
  const bool linear = optimiser_->linear_steps() != nullptr;
  const auto project = [&] {
    const PhaseTimer timer(seconds_, Phase::protect);
    if (of_sums != nullptr && !is_projected) of_sums->apply_to_gradient(gradient);
  };
  if (linear) project();
  {
    const PhaseTimer timer(seconds_, Phase::update);
    optimiser_->find_direction(parameter, weights, gradient.values);
  }
  // Weight decay and a scale for each weight would bring back what was projected out before.
  if (!linear) project();
  const PhaseTimer timer(seconds_, Phase::update);
  backend_.elementwise().run(Add{.alpha = -rate_, .x = gradient.values, .y = weights});
}

void Trainer::update_by_pairs(LinearSteps& steps, std::size_t parameter) {
  const Pairs pairs = protected_pairs(parameter, operator_on_update(parameter));
  const PhaseTimer timer(seconds_, Phase::update);
  steps.step(parameter, rate_, pairs.trace, pairs.post, learned_[parameter].weights);
}

bool Trainer::is_finite(View<const float> values) {
  return std::ranges::all_of(backend_.download(values), [](float value) { return std::isfinite(value); });
}

bool Trainer::is_finite(ConstMatrix matrix) {
  // A mean is finite where its terms are.
  Array<float> means = backend_.allocate<float>(matrix.cols);
  backend_.traces().run(SumSteps{.scale = 1.0F / static_cast<float>(matrix.rows),
                                 .steps = matrix.rows,
                                 .x = matrix,
                                 .sum = means.matrix(1, matrix.cols)});
  return is_finite(std::as_const(means).view());
}

bool Trainer::all_finite() {
  return std::ranges::all_of(learned_, [&](const Learned& learned) { return is_finite(learned.weights); }) &&
         std::ranges::all_of(constants_->values(), [&](View<float> values) { return is_finite(values); }) &&
         std::ranges::all_of(network_.populations(), [&](const Population& population) {
           const auto& normalisation = population.normalisation;
           return normalisation == nullptr ||
                  (is_finite(normalisation->mean()) && is_finite(normalisation->variance()));
         });
}

std::string Trainer::diverged_subspace() {
  for (std::size_t p = 0; p < network_.projections().size(); ++p) {
    const Subspace* const subspace = protection_->subspace(p);
    if (subspace != nullptr && subspace->rank() > 0 && !is_finite(subspace->rows()))
      return network_.projections()[p].name;
  }
  return "";
}

bool Trainer::ranks_agree() {
  if (ranks_.is_alone()) return true;
  std::uint32_t mark = 2166136261U;  // FNV-1a
  const auto add = [&](View<const float> values) {
    for (const float value : backend_.download(values))
      mark = (mark ^ std::bit_cast<std::uint32_t>(value)) * 16777619U;
  };
  for (const Learned& learned : learned_) add(learned.weights.values);
  for (const View<float> values : constants_->values()) add(values);
  double sum = mark;  // exact for more than a million ranks
  ranks_.sum(std::span(&sum, 1));
  return !ranks_.any(sum != static_cast<double>(ranks_.size()) * mark);
}

std::string Trainer::largest_weight() {
  float largest = -1;
  std::string place;
  for (const auto& [p, feedback, weights] : learned_) {
    for (const float weight : backend_.download(View<const float>(weights.values))) {
      const float size = std::isnan(weight) ? std::numeric_limits<float>::infinity() : std::abs(weight);
      if (size <= largest) continue;
      largest = size;
      place = (feedback ? "the feedback weights of " : "") + network_.projections()[p].name;
    }
  }
  return fmt::format("{:.3g}, of {}", largest, place);
}

Evaluation Trainer::evaluate(const ShownImages& images, View<const std::uint32_t> samples,
                             View<const Target> targets, const std::function<void(ConstMatrix)>& see) {
  const PhaseTimer timer(seconds_, Phase::evaluate);
  Array<double> loss = backend_.allocate<double>(1);
  Array<std::uint32_t> correct = backend_.allocate<std::uint32_t>(1);
  for (std::size_t first = 0; first < samples.size(); first += batch_size_) {
    const auto [begin, batch] = ranks_.slice(std::min(batch_size_, samples.size() - first));
    if (batch > 0) run_batch(images, samples.subview(first + begin, batch));
    const ConstMatrix logits = batch > 0 ? engine_->logits() : ConstMatrix();
    if (see) see(logits);
    if (batch == 0) continue;
    backend_.loss().run(CrossEntropy{.logits = logits,
                                     .targets = targets.subview(first + begin, batch),
                                     .logit_gradient = logit_gradient_.matrix(logits.rows, logits.cols),
                                     .loss = loss.view(),
                                     .correct = correct.view()});
  }
  std::array<double, 2> sums{
      static_cast<double>(backend_.download(View<const std::uint32_t>(correct.view()))[0]),
      backend_.download(View<const double>(loss.view()))[0]};
  ranks_.sum(std::span(sums));
  const auto count = static_cast<double>(samples.size());
  return {.accuracy = sums[0] / count, .loss = sums[1] / count};
}

}  // namespace orthospike
