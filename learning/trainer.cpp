#include "learning/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
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
}

}  // namespace

Trainer::Trainer(Backend& backend, const Config& config, std::size_t inputs, std::size_t logits)
    : backend_(backend),
      mean_(config.data.mean.value()),
      deviation_(config.data.deviation.value()),
      batch_size_(config.training.batch_size),
      protects_linearly_(config.protection.protection().traits().is_linear),
      network_(backend),
      replay_learning_rate_(config.protection.replay().learning_rate),
      schedule_(config.schedule) {
  check_boundaries(config);
  config.network.build(network_, inputs, logits, config.neuron, config.clock, config.experiment.seed);
  const ProtectionPlan& plan = config.protection;
  const bool updates_each_step = config.training.update == TrainingSettings::Update::step;
  const std::size_t max_batch =
      plan.has_replay() ? std::max(batch_size_, plan.replay().batch_size) : batch_size_;
  feedback_ = config.feedback.make(network_, config.experiment.seed);
  rule_ = config.rule.make(network_, *feedback_,
                           RuleContext{.seed = config.experiment.seed,
                                       .max_batch = max_batch,
                                       .clock = config.clock,
                                       .past_in_traces = updates_each_step || !protects_linearly_});
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
  protection_ = plan.protection().make(
      network_, ProtectionContext{.seed = config.experiment.seed, .max_rows = rule_->max_rows()});
  for (std::size_t p = 0; p < network_.projections().size(); ++p) {
    const Matrix feedback = feedback_->learned_weights(p);
    if (!feedback.empty()) learned_.push_back({.projection = p, .feedback = true, .weights = feedback});
    learned_.push_back({.projection = p, .feedback = false, .weights = network_.projections()[p].matrix()});
  }
  const std::size_t parameters = learned_.size() + network_.populations().size();
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
    detector_ = std::make_unique<BoundaryDetector>(backend, inputs, batch_size_, config.experiment.seed,
                                                   config.boundaries);
  }
  logit_gradient_ = backend.allocate<float>(engine_->most_at_once() * max_batch * logits);
  summed_error_ = backend.allocate<float>(max_batch * logits);
  unused_loss_ = backend.allocate<double>(1);
  unused_correct_ = backend.allocate<std::uint32_t>(1);
  threshold_direction_ = backend.allocate<float>(1);
}

void Trainer::begin_task(std::size_t task, const TaskLength& length) {
  task_ = task;
  train_thresholds_ = task == 0;
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
  archive.resizable("detected_boundaries", detected_boundaries_);
  archive("task", task_);
  archive("epochs", task_length_.epochs);
  archive("updates_per_epoch", task_length_.updates_per_epoch);
  archive("updates", updates_);
  archive("updates_of_all", updates_of_all_);
  archive("train_thresholds", train_thresholds_);
  for (std::size_t i = 0; i < seconds_.size(); ++i)
    archive(std::string("seconds_") + phase_names[i], seconds_[i]);
}

void Trainer::run_batch(const ShownImages& images, View<const std::uint32_t> samples) {
  encode(images, samples, engine_->input(samples.size()));
  engine_->run();
}

void Trainer::train_batch(const Batch& batch, View<double> loss, View<std::uint32_t> correct) {
  const Matrix input = engine_->input(batch.samples.size());
  {
    const PhaseTimer timer(seconds_, Phase::encode);
    std::size_t shown = 0;
    for (const auto& [count, images] : batch.shares) {
      encode(images, batch.samples.subview(shown, count), input.row_range(shown, count));
      shown += count;
    }
  }
  ++updates_of_all_;
  if (begins_task(input)) {
    detected_boundaries_.push_back(updates_of_all_);
    end_task();
    begin_task(task_ + 1, task_length_);
  }
  rate_ = schedule_.learning_rate(updates_++, task_length_);
  const bool is_whole = steps_per_run_ == steps_per_update_;
  for (std::size_t first = 0; first < engine_->steps(); first += steps_per_run_) {
    compute_gradients(batch.targets, first, std::min(steps_per_run_, engine_->steps() - first), loss,
                      correct);
    for (std::size_t parameter = 0; parameter < learned_.size(); ++parameter) {
      const std::size_t p = learned_[parameter].projection;
      if (is_whole) {
        update_weights(parameter);
      } else {
        // Only traces can be protected now where the operator is not linear.
        ChangeOperator* const projector = operator_on(parameter);
        add_gradient(parameter, first > 0,
                     projector != nullptr && projector->linear() == nullptr ? projector : nullptr);
      }
      if (learned_[parameter].feedback) continue;
      const PhaseTimer timer(seconds_, Phase::extract);
      const WeightGradient gradient = rule_->weight_gradient(p);
      protection_->observe(p, gradient.activity, gradient.post);
    }
  }
  for (std::size_t parameter = 0; parameter < learned_.size() && !is_whole; ++parameter)
    update_by_gradient(parameter, summed_gradient(parameter));
  if (train_thresholds_) update_thresholds();
}

bool Trainer::begins_task(ConstMatrix input) {
  const PhaseTimer timer(seconds_, Phase::extract);
  return detector_ != nullptr && detector_->begins_with(input);
}

void Trainer::begin_replay() {
  replay_optimiser_->begin_task();
}

void Trainer::replay_batch(const Batch& batch, View<double> loss, View<std::uint32_t> correct) {
  std::size_t shown = 0;
  for (const auto& [count, images] : batch.shares) {
    {
      const PhaseTimer timer(seconds_, Phase::encode);
      encode(images, batch.samples.subview(shown, count), engine_->input(count));
    }
    for (std::size_t first = 0; first < engine_->steps(); first += engine_->most_at_once()) {
      compute_gradients(batch.targets.subview(shown, count), first,
                        std::min(engine_->most_at_once(), engine_->steps() - first), loss, correct);
      for (std::size_t i = 0; i < learned_.size(); ++i) add_gradient(i, shown + first > 0, nullptr);
    }
    shown += count;
  }
  const PhaseTimer timer(seconds_, Phase::update);
  for (std::size_t i = 0; i < learned_.size(); ++i) {
    const View<float> weights = learned_[i].weights.values;
    replay_optimiser_->find_direction(i, weights, summed_gradients_[i].view());
    backend_.elementwise().run(
        Add{.alpha = -replay_learning_rate_, .x = summed_gradients_[i].view(), .y = weights});
  }
}

void Trainer::encode(const ShownImages& images, View<const std::uint32_t> samples, Matrix input) {
  backend_.encoding().run(EncodeImages{.images = images.pixels,
                                       .samples = samples,
                                       .pixel_order = images.pixel_order,
                                       .mean = mean_,
                                       .deviation = deviation_,
                                       .currents = input});
}

void Trainer::compute_gradients(View<const Target> targets, std::size_t first, std::size_t count,
                                View<double> loss, View<std::uint32_t> correct) {
  {
    const PhaseTimer timer(seconds_, Phase::forward);
    engine_->run_steps(first, count, rule_->recording());
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
  rule_->backward(*engine_, gradient_for(each), targets);
  const Matrix sum = summed_error_.matrix(targets.size(), each.cols);
  backend_.traces().run(SumSteps{.steps = count, .x = gradient_for(each), .sum = sum});
  readout_error_ = sum;
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
  return rule_->weight_gradient(p).pairs();
}

ChangeOperator* Trainer::operator_on(std::size_t parameter) const {
  const std::size_t p = learned_[parameter].projection;
  return is_of_rule(parameter) ? protection_->change_operator(p) : protection_->presynaptic_operator(p);
}

/// The operator on N pairs costs about as much as on N columns of the summed gradient or the direction, which has
/// `targets`: 2·M·n each with M subspace rows, n² with a whole matrix. The fewer are taken where the optimiser
/// allows both.
void Trainer::update_weights(std::size_t parameter) {
  const Matrix weights = learned_[parameter].weights;
  const Pairs pairs = pairs_of(parameter);
  ChangeOperator* const projector = operator_on(parameter);
  LinearOperator* const of_sums = projector == nullptr ? nullptr : projector->linear();
  LinearSteps* const linear = optimiser_->linear_steps();
  if (linear != nullptr && (of_sums == nullptr || pairs.trace.rows <= weights.cols)) {
    update_by_pairs(*linear, parameter);
    return;
  }
  const std::size_t size = weights.values.size();
  if (direction_.size() < size) direction_ = backend_.allocate<float>(size);
  const Matrix direction = direction_.matrix(weights.rows, weights.cols);
  {
    const PhaseTimer timer(seconds_, Phase::update);
    add_outer_products(backend_, 1.0F, pairs.trace, pairs.post, 0.0F, direction);
  }
  update_by_gradient(parameter, direction);
}

void Trainer::add_gradient(std::size_t parameter, bool to_others, ChangeOperator* projector) {
  const Pairs pairs = protected_pairs(parameter, projector);
  const PhaseTimer timer(seconds_, Phase::update);
  add_outer_products(backend_, 1.0F, pairs.trace, pairs.post, to_others ? 1.0F : 0.0F,
                     summed_gradient(parameter));
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

void Trainer::update_by_gradient(std::size_t parameter, Matrix gradient) {
  const View<float> weights = learned_[parameter].weights.values;
  ChangeOperator* const projector = operator_on(parameter);
  LinearOperator* const of_sums = projector == nullptr ? nullptr : projector->linear();
  const bool linear = optimiser_->linear_steps() != nullptr;
  const auto project = [&] {
    const PhaseTimer timer(seconds_, Phase::protect);
    if (of_sums != nullptr) of_sums->apply_to_gradient(gradient);
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
  const Pairs pairs = protected_pairs(parameter, operator_on(parameter));
  const PhaseTimer timer(seconds_, Phase::update);
  steps.step(parameter, rate_, pairs.trace, pairs.post, learned_[parameter].weights);
}

void Trainer::update_thresholds() {
  const PhaseTimer timer(seconds_, Phase::update);
  for (std::size_t i = 0; i < network_.populations().size(); ++i) {
    const View<const float> gradient = rule_->threshold_gradient(i);
    if (gradient.empty()) continue;
    NeuronModel& neuron = *network_.populations()[i].neuron;
    const View<float> threshold = neuron.threshold();
    backend_.copy(gradient, threshold_direction_.view());
    optimiser_->find_direction(learned_.size() + i, {}, threshold_direction_.view());
    backend_.elementwise().run(Add{.alpha = -rate_, .x = threshold_direction_.view(), .y = threshold});
    backend_.elementwise().run(RaiseTo{.bound = neuron.lowest_threshold(), .values = threshold});
  }
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
         std::ranges::all_of(network_.populations(), [&](const Population& population) {
           return population.neuron == nullptr || is_finite(population.neuron->threshold());
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
    const std::size_t batch = std::min(batch_size_, samples.size() - first);
    run_batch(images, samples.subview(first, batch));
    const ConstMatrix logits = engine_->logits();
    if (see) see(logits);
    backend_.loss().run(CrossEntropy{.logits = logits,
                                     .targets = targets.subview(first, batch),
                                     .logit_gradient = logit_gradient_.matrix(logits.rows, logits.cols),
                                     .loss = loss.view(),
                                     .correct = correct.view()});
  }
  const auto count = static_cast<double>(samples.size());
  return {.accuracy = backend_.download(View<const std::uint32_t>(correct.view()))[0] / count,
          .loss = backend_.download(View<const double>(loss.view()))[0] / count};
}

}  // namespace orthospike
