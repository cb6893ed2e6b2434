#include "learning/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "kernels/elementwise.hpp"
#include "kernels/encoding.hpp"
#include "kernels/error.hpp"
#include "kernels/loss.hpp"
#include "kernels/traces.hpp"

namespace orthospike {

namespace {

DeliveryForm delivery_form(const Config& config) {
  const std::string& name = config.network.delivery;
  if (name == "auto") return DeliveryForm::automatic;
  if (name != "events" && name != "dense")
    throw ConfigError(fmt::format("network.delivery: '{}' is not one of auto, events, dense", name));
  refuse_unread(config, "network.delivery " + name, {"network.dense_crossover"});
  return name == "events" ? DeliveryForm::events : DeliveryForm::dense;
}

Surrogate surrogate(const std::string& name) {
  if (name == "sigmoid") return Surrogate::sigmoid;
  if (name == "arctan") return Surrogate::arctan;
  if (name == "fast_sigmoid") return Surrogate::fast_sigmoid;
  if (name == "triangle") return Surrogate::triangle;
  throw ConfigError(
      fmt::format("rule.surrogate: '{}' is not one of sigmoid, arctan, fast_sigmoid, triangle", name));
}

Modulation modulation_by(const std::string& name) {
  if (name == "reward") return Modulation::reward;
  if (name == "error") return Modulation::error;
  throw ConfigError(fmt::format("rule.modulation: '{}' is not one of reward, error", name));
}

/// Throws ConfigError also for keys of rules and forms other than the chosen ones.
StdpSettings stdp_settings(const Config& config) {
  const auto& rule = config.rule;
  if (rule.stdp != "pair" && rule.stdp != "triplet")
    throw ConfigError(fmt::format("rule.stdp: '{}' is not one of pair, triplet", rule.stdp));
  if (rule.name != "rstdp")
    refuse_unread(config, "the rule " + rule.name, {"rule.modulation", "rule.eligibility_tau"});
  if (rule.name != "stdp" && rule.name != "rstdp") {
    refuse_unread(
        config, "the rule " + rule.name,
        {"rule.stdp", "rule.stdp_tau_plus", "rule.stdp_tau_minus", "rule.stdp_a_plus", "rule.stdp_a_minus"});
  }
  if (rule.stdp == "pair") {
    refuse_unread(config, "rule.stdp pair",
                  {"rule.stdp_tau_x", "rule.stdp_tau_y", "rule.stdp_a3_plus", "rule.stdp_a3_minus"});
  }
  return {.triplet = rule.stdp == "triplet",
          .tau_plus = rule.stdp_tau_plus,
          .tau_minus = rule.stdp_tau_minus,
          .a_plus = rule.stdp_a_plus,
          .a_minus = rule.stdp_a_minus,
          .tau_x = rule.stdp_tau_x,
          .tau_y = rule.stdp_tau_y,
          .a3_plus = rule.stdp_a3_plus,
          .a3_minus = rule.stdp_a3_minus};
}

/// What is left of the read-out after a step.
float readout_leak(const Config& config) {
  const float tau = config.network.readout_tau;
  if (tau == 0.0F) return 0.0F;
  if (tau < config.neuron.dt) {
    throw ConfigError(
        fmt::format("network.readout_tau: {} is shorter than neuron.dt, {}", tau, config.neuron.dt));
  }
  return 1.0F - config.neuron.dt / tau;
}

std::size_t steps_per_update(const Config& config, const Rule& rule) {
  if (config.rule.update == "sequence") return config.neuron.steps;
  if (config.rule.update != "step")
    throw ConfigError(fmt::format("rule.update: '{}' is not one of sequence, step", config.rule.update));
  if (!rule.is_online()) {
    const std::string where = config.rule.name == "decolle" ? " where neurons adapt"
                              : config.rule.name == "eprop" ? " where neurons adapt or the read-out leaks"
                                                            : "";
    throw ConfigError(fmt::format("rule.update: the rule {} changes weights after the whole sequence only{}",
                                  config.rule.name, where));
  }
  return 1;
}

}  // namespace

NeuronSettings neuron_settings(const Config& config) {
  if (config.neuron.reset != "soft" && config.neuron.reset != "hard")
    throw ConfigError(fmt::format("neuron.reset: '{}' is not one of soft, hard", config.neuron.reset));
  const std::string& model = config.neuron.model;
  const std::string reader = "the neuron model " + model;
  if (model == "lif_dsr") refuse_unread(config, reader, {"neuron.reset", "neuron.synapse_tau"});
  if (model != "alif") refuse_unread(config, reader, {"neuron.adaptation", "neuron.adaptation_tau"});
  if (model == "lif" || model == "if" || model == "alif")
    refuse_unread(config, reader, {"neuron.firing_fraction", "neuron.lowest_threshold"});
  if (model == "if") refuse_unread(config, reader, {"neuron.tau"});
  return {.steps = config.neuron.steps,
          .dt = config.neuron.dt,
          .tau = config.neuron.tau,
          .threshold = config.neuron.threshold,
          .firing_fraction = config.neuron.firing_fraction,
          .hard_reset = config.neuron.reset == "hard",
          .synapse_tau = config.neuron.synapse_tau,
          .adaptation = config.neuron.adaptation,
          .adaptation_tau = config.neuron.adaptation_tau};
}

RuleSettings rule_settings(const Config& config, std::size_t max_batch) {
  if (config.rule.name == "dsr") {
    refuse_unread(config, "the rule dsr",
                  {"rule.surrogate", "rule.slope", "rule.detached_reset", "network.readout_tau"});
  }
  if (config.rule.name == "ottt" || config.rule.name == "eprop")
    refuse_unread(config, "the rule " + config.rule.name, {"rule.detached_reset"});
  if (config.rule.name == "decolle")
    refuse_unread(config, "the rule decolle", {"rule.detached_reset", "feedback.name"});
  const bool timing = config.rule.name == "stdp" || config.rule.name == "rstdp";
  if (timing) {
    refuse_unread(config, "the rule " + config.rule.name,
                  {"rule.surrogate", "rule.slope", "rule.detached_reset"});
  }
  const Modulation modulation = modulation_by(config.rule.modulation);
  if (config.rule.name == "stdp" || (config.rule.name == "rstdp" && modulation == Modulation::reward))
    refuse_unread(config, "the rule " + config.rule.name + " without errors of neurons", {"feedback.name"});
  return {.seed = config.experiment.seed,
          .max_batch = max_batch,
          .steps = config.neuron.steps,
          .surrogate = surrogate(config.rule.surrogate),
          .slope = config.rule.slope,
          .detached_reset = config.rule.detached_reset,
          .past_in_traces = config.rule.update == "step" || config.hlop.lateral_neurons != "linear",
          .dt = config.neuron.dt,
          .stdp = stdp_settings(config),
          .modulation = modulation,
          .eligibility_tau = config.rule.eligibility_tau};
}

ProtectionSettings protection_settings(const Config& config, std::size_t projections, std::size_t max_rows) {
  const ProtectionPlan plan = protection_plan(config.protection.name);
  const std::string name = plan.protection, reader = "the protection " + config.protection.name;
  if (name != "gpm") refuse_unread(config, reader, {"gpm.threshold"});
  if (name != "owm") refuse_unread(config, reader, {"owm.alpha"});
  if (!plan.replay) {
    refuse_unread(config, reader,
                  {"replay.samples_per_class", "replay.selection", "replay.epochs", "replay.batch_size",
                   "replay.learning_rate"});
  }
  if (config.hlop.lateral_neurons == "linear")
    refuse_unread(config, "linear lateral neurons", {"hlop.lateral_scale", "hlop.lateral_steps"});
  ProtectionSettings settings{
      .seed = config.experiment.seed,
      .max_rows = max_rows,
      .hlop = {.extractor = config.hlop.extractor,
               .learning = {},
               .lateral_neurons = config.hlop.lateral_neurons,
               .lateral = {.scale = config.hlop.lateral_scale, .steps = config.hlop.lateral_steps},
               .ranks = {},
               .orthonormalise = config.hlop.orthonormalise},
      .leaky = {.lambda = config.leaky.lambda,
                .circuit = config.leaky.form == "circuit",
                .learning_rate = config.leaky.learning_rate,
                .tolerance = config.leaky.tolerance,
                .spiking = config.leaky.lateral_neurons == "spiking",
                .spike_height = config.leaky.spike_height,
                .sweeps = config.leaky.sweeps,
                .consolidates = config.leaky.consolidation == "slow",
                .fast = config.leaky.fast_updates,
                .slow = config.leaky.slow_updates,
                .refresh = config.leaky.refresh},
      .lowrank = {.lambda = config.leaky.lambda,
                  .learning = {},
                  .neurons = config.leaky.neurons,
                  .unexplained = config.leaky.unexplained,
                  .growth = config.leaky.growth,
                  .growth_batches = config.leaky.growth_batches},
      .gpm = {},
      .owm = {.alpha = config.owm.alpha}};
  if (name == "hlop") settings.hlop.ranks = parse_ranks(config.hlop.ranks, config.tasks.count, projections);
  if (config.leaky.form != "exact" && config.leaky.form != "circuit")
    throw ConfigError(fmt::format("leaky.form: '{}' is not one of exact, circuit", config.leaky.form));
  if (config.leaky.lateral_neurons != "linear" && config.leaky.lateral_neurons != "spiking") {
    throw ConfigError(fmt::format("leaky.lateral_neurons: '{}' is not one of linear, spiking",
                                  config.leaky.lateral_neurons));
  }
  if (config.leaky.consolidation != "boundaries" && config.leaky.consolidation != "slow") {
    throw ConfigError(
        fmt::format("leaky.consolidation: '{}' is not one of boundaries, slow", config.leaky.consolidation));
  }
  if (config.leaky.consolidation == "slow") {
    refuse_unread(config, "slow consolidation", {"leaky.form"});
  } else if (name == "leaky") {
    refuse_unread(config, "leaky.consolidation boundaries",
                  {"leaky.fast_updates", "leaky.slow_updates", "leaky.refresh"});
  }
  if (name == "leaky")
    refuse_unread(config, "leaky",
                  {"leaky.neurons", "leaky.unexplained", "leaky.growth", "leaky.growth_batches"});
  if (name == "leaky_lowrank") refuse_unread(config, "leaky_lowrank", {"leaky.form", "leaky.consolidation"});
  if ((name == "leaky" && config.leaky.form == "exact") || name == "leaky_lowrank") {
    refuse_unread(config, name + " without the circuit",
                  {"leaky.learning_rate", "leaky.lateral_neurons", "leaky.tolerance", "leaky.spike_height",
                   "leaky.sweeps"});
  } else if (name == "leaky") {
    const std::string neurons = config.leaky.lateral_neurons;
    refuse_unread(config, neurons + " lateral neurons",
                  neurons == "linear" ? std::vector<std::string>{"leaky.spike_height", "leaky.sweeps"}
                                      : std::vector<std::string>{"leaky.tolerance"});
  }
  const std::vector<float>& rates = config.hebbian.learning_rate;
  const std::vector<float>& thresholds = config.gpm.threshold;
  for (std::size_t p = 0; p < projections; ++p) {
    settings.gpm.thresholds.push_back(thresholds[std::min(p, thresholds.size() - 1)]);
    settings.hlop.learning.push_back({.learning_rate = rates[std::min(p, rates.size() - 1)],
                                      .momentum = config.hebbian.momentum,
                                      .clamp = config.hebbian.clamp,
                                      .iterations = config.hebbian.iterations});
  }
  settings.lowrank.learning = settings.hlop.learning;
  return settings;
}

OptimiserSettings optimiser_settings(const Config& config) {
  const auto& optimiser = config.optimiser;
  if (optimiser.name == "sgd")
    refuse_unread(config, "sgd", {"optimiser.beta1", "optimiser.beta2", "optimiser.epsilon"});
  if (optimiser.name == "adam" || optimiser.name == "adamw")
    refuse_unread(config, optimiser.name, {"optimiser.momentum"});
  return {.momentum = optimiser.momentum,
          .beta1 = optimiser.beta1,
          .beta2 = optimiser.beta2,
          .epsilon = optimiser.epsilon,
          .weight_decay = optimiser.weight_decay};
}

ScheduleSettings schedule_settings(const Config& config) {
  const auto& optimiser = config.optimiser;
  if (optimiser.schedule == "constant" || optimiser.schedule == "cosine") {
    refuse_unread(config, "the schedule " + optimiser.schedule,
                  {"optimiser.step_factor", "optimiser.step_epochs"});
  }
  return {.name = optimiser.schedule,
          .step_factor = optimiser.step_factor,
          .step_epochs = optimiser.step_epochs,
          .warm_up_epochs = optimiser.warm_up_epochs};
}

std::optional<BoundarySettings> boundary_settings(const Config& config) {
  const auto& boundaries = config.boundaries;
  const auto refuse_unread_keys = [&](const std::string& reader) {
    refuse_unread(config, reader,
                  {"boundaries.neurons", "boundaries.lambda", "boundaries.smoothing", "boundaries.threshold",
                   "boundaries.distance"});
  };
  if (config.tasks.boundaries == "known") {
    refuse_unread_keys("tasks.boundaries known");
    return {};
  }
  if (config.tasks.boundaries != "hidden")
    throw ConfigError(
        fmt::format("tasks.boundaries: '{}' is not one of known, hidden", config.tasks.boundaries));
  const ProtectionPlan plan = protection_plan(config.protection.name);
  if (plan.joint) throw ConfigError("tasks.boundaries: joint training has none to hide; leave it at known");
  if (plan.replay) {
    throw ConfigError(
        "tasks.boundaries: replay follows each task and stores samples of it, so it must know where tasks "
        "end");
  }
  if (config.optimiser.schedule != "constant") {
    throw ConfigError(fmt::format(
        "tasks.boundaries: the schedule {} goes by the length of a task, which is not known where "
        "boundaries are hidden; use optimiser.schedule constant",
        config.optimiser.schedule));
  }
  if (plan.protection == "leaky" && config.leaky.consolidation == "slow") {
    refuse_unread_keys("slow consolidation");
    return {};
  }
  return BoundarySettings{.seed = config.experiment.seed,
                          .max_rows = config.training.batch_size,
                          .neurons = boundaries.neurons,
                          .lambda = boundaries.lambda,
                          .smoothing = boundaries.smoothing,
                          .threshold = boundaries.threshold,
                          .distance = boundaries.distance};
}

StoredImages::StoredImages(Backend& backend, const ImageSet& images, std::size_t samples)
    : count(samples == 0 ? images.count : std::min(samples, images.count)),
      pixels(backend.allocate<std::uint8_t>(count * images.pixels_per_image())),
      labels(backend.allocate<std::uint8_t>(count)) {
  backend.upload(std::span(images.pixels).first(pixels.size()), pixels.view());
  backend.upload(std::span(images.labels).first(count), labels.view());
}

Trainer::Trainer(Backend& backend, const Config& config, std::size_t inputs, std::size_t classes)
    : backend_(backend),
      neuron_(neuron_settings(config)),
      mean_(config.data.mean),
      deviation_(config.data.deviation),
      lowest_threshold_(config.neuron.lowest_threshold),
      batch_size_(config.training.batch_size),
      network_(backend),
      learning_rate_(config.optimiser.learning_rate),
      replay_learning_rate_(config.replay.learning_rate),
      schedule_(schedule_settings(config)) {
  std::size_t last = network_.add_population(
      {.name = "input", .size = inputs, .kind = Population::Kind::input, .neuron = nullptr});
  std::vector<std::size_t> sizes = config.network.hidden;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::size_t next =
        network_.add_population({.name = fmt::format("hidden{}", i + 1),
                                 .size = sizes[i],
                                 .kind = Population::Kind::spiking,
                                 .neuron = neuron_models().make(config.neuron.model, backend, neuron_)});
    network_.add_projection(
        fmt::format("{}_to_hidden{}", i == 0 ? "input" : fmt::format("hidden{}", i), i + 1), last, next);
    if (config.network.recurrent)
      network_.add_projection(fmt::format("hidden{0}_to_hidden{0}", i + 1), next, next);
    last = next;
  }
  const std::size_t readout = network_.add_population({.name = "readout",
                                                       .size = classes,
                                                       .kind = Population::Kind::readout,
                                                       .neuron = nullptr,
                                                       .leak = readout_leak(config)});
  network_.add_projection(fmt::format("hidden{}_to_readout", sizes.size()), last, readout);
  network_.initialise_weights(config.experiment.seed);

  const ProtectionPlan plan = protection_plan(config.protection.name);
  const std::size_t max_batch = plan.replay ? std::max(batch_size_, config.replay.batch_size) : batch_size_;
  feedback_ = error_feedbacks().make(config.feedback.name, network_, config.experiment.seed);
  rule_ = rules().make(config.rule.name, network_, *feedback_, rule_settings(config, max_batch));
  engine_ = std::make_unique<ClockEngine>(
      network_, neuron_.steps, max_batch,
      DeliverySettings{.form = delivery_form(config), .crossover = config.network.dense_crossover},
      rule_->most_steps(neuron_.steps));
  steps_per_update_ = steps_per_update(config, *rule_);
  steps_per_run_ = std::min(steps_per_update_, engine_->most_at_once());
  protection_ =
      protections().make(plan.protection, network_,
                         protection_settings(config, network_.projections().size(), rule_->max_rows()));
  for (std::size_t p = 0; p < network_.projections().size(); ++p) {
    const Matrix feedback = feedback_->learned_weights(p);
    if (!feedback.empty()) learned_.push_back({.projection = p, .feedback = true, .weights = feedback});
    learned_.push_back({.projection = p, .feedback = false, .weights = network_.projections()[p].matrix()});
  }
  const std::size_t parameters = learned_.size() + network_.populations().size();
  optimiser_ = optimisers().make(config.optimiser.name, backend, parameters, optimiser_settings(config));
  if (optimiser_->linear_steps() == nullptr && !protection_->is_linear()) {
    throw ConfigError(
        fmt::format("hlop.lateral_neurons: responses of {} neurons cannot be taken out of the steps of "
                    "optimiser.name {}, which are far below one of their quanta; use linear neurons or sgd "
                    "without weight decay",
                    config.hlop.lateral_neurons, config.optimiser.name));
  }
  if (plan.replay) {
    replay_optimiser_ =
        optimisers().make(config.optimiser.name, backend, parameters, optimiser_settings(config));
  }
  if (plan.replay || steps_per_run_ < steps_per_update_) {
    for (const Learned& learned : learned_)
      summed_gradients_.push_back(backend.allocate<float>(learned.weights.values.size()));
  }
  if (const auto settings = boundary_settings(config))
    detector_ = std::make_unique<BoundaryDetector>(backend, inputs, *settings);
  logit_gradient_ = backend.allocate<float>(engine_->most_at_once() * max_batch * classes);
  summed_error_ = backend.allocate<float>(max_batch * classes);
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

void Trainer::run_batch(const StoredImages& images, View<const std::uint32_t> samples,
                        View<const std::uint32_t> pixel_order) {
  backend_.encoding().run(EncodeImages{.images = images.pixels.view(),
                                       .samples = samples,
                                       .pixel_order = pixel_order,
                                       .mean = mean_,
                                       .deviation = deviation_,
                                       .currents = engine_->input(samples.size())});
  engine_->run();
}

void Trainer::train_batch(const StoredImages& images, View<const std::uint32_t> samples,
                          View<const std::uint32_t> pixel_order, View<double> loss,
                          View<std::uint32_t> correct) {
  const Share whole{samples.size(), pixel_order};
  train_batch(images, samples, std::span(&whole, 1), loss, correct);
}

void Trainer::train_batch(const StoredImages& images, View<const std::uint32_t> samples,
                          std::span<const Share> shares, View<double> loss, View<std::uint32_t> correct) {
  encode(images, samples, shares);
  ++updates_of_all_;
  if (begins_task(engine_->input(samples.size()))) {
    detected_boundaries_.push_back(updates_of_all_);
    end_task();
    begin_task(task_ + 1, task_length_);
  }
  rate_ = learning_rate_ * static_cast<float>(schedule_.factor(updates_++, task_length_));
  const bool is_whole = steps_per_run_ == steps_per_update_;
  for (std::size_t first = 0; first < neuron_.steps; first += steps_per_run_) {
    compute_gradients(images, samples, first, std::min(steps_per_run_, neuron_.steps - first), loss, correct);
    for (std::size_t parameter = 0; parameter < learned_.size(); ++parameter) {
      const std::size_t p = learned_[parameter].projection;
      if (is_whole) {
        update_weights(parameter);
      } else {
        // Only traces can be protected now where the operator is not linear.
        PresynapticOperator* const projector = protection_->presynaptic_operator(p);
        add_gradient(parameter, first > 0,
                     projector != nullptr && projector->linear() == nullptr ? projector : nullptr);
      }
      if (learned_[parameter].feedback) continue;
      const PhaseTimer timer(seconds_, Phase::extract);
      protection_->observe(p, rule_->weight_gradient(p).activity);
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

void Trainer::replay_batch(const StoredImages& images, View<const std::uint32_t> samples,
                           std::span<const Share> shares, View<double> loss, View<std::uint32_t> correct) {
  std::size_t shown = 0;
  for (const Share& share : shares) {
    const View<const std::uint32_t> of_task = samples.subview(shown, share.samples);
    encode(images, of_task, std::span(&share, 1));
    for (std::size_t first = 0; first < neuron_.steps; first += engine_->most_at_once()) {
      compute_gradients(images, of_task, first, std::min(engine_->most_at_once(), neuron_.steps - first),
                        loss, correct);
      for (std::size_t i = 0; i < learned_.size(); ++i) add_gradient(i, shown + first > 0, nullptr);
    }
    shown += share.samples;
  }
  const PhaseTimer timer(seconds_, Phase::update);
  for (std::size_t i = 0; i < learned_.size(); ++i) {
    const View<float> weights = learned_[i].weights.values;
    replay_optimiser_->find_direction(i, weights, summed_gradients_[i].view());
    backend_.elementwise().run(
        Add{.alpha = -replay_learning_rate_, .x = summed_gradients_[i].view(), .y = weights});
  }
}

void Trainer::encode(const StoredImages& images, View<const std::uint32_t> samples,
                     std::span<const Share> shares) {
  const PhaseTimer timer(seconds_, Phase::encode);
  const Matrix input = engine_->input(samples.size());
  std::size_t shown = 0;
  for (const auto& [count, pixel_order] : shares) {
    backend_.encoding().run(EncodeImages{.images = images.pixels.view(),
                                         .samples = samples.subview(shown, count),
                                         .pixel_order = pixel_order,
                                         .mean = mean_,
                                         .deviation = deviation_,
                                         .currents = input.row_range(shown, count)});
    shown += count;
  }
}

void Trainer::compute_gradients(const StoredImages& images, View<const std::uint32_t> samples,
                                std::size_t first, std::size_t count, View<double> loss,
                                View<std::uint32_t> correct) {
  {
    const PhaseTimer timer(seconds_, Phase::forward);
    engine_->run_steps(first, count, rule_->recording());
  }
  const PhaseTimer timer(seconds_, Phase::rule);
  const auto gradient_for = [&](ConstMatrix logits) {
    return logit_gradient_.matrix(logits.rows, logits.cols);
  };
  const Targets targets{images.labels.view(), samples};
  const ConstMatrix logits = engine_->logits();
  if (!rule_->has_step_losses()) {
    backend_.loss().run(CrossEntropy{.logits = logits,
                                     .labels = images.labels.view(),
                                     .samples = samples,
                                     .logit_gradient = gradient_for(logits),
                                     .loss = loss,
                                     .correct = correct});
    readout_error_ = gradient_for(logits);
    rule_->backward(*engine_, readout_error_, targets);
    return;
  }
  // The answer is that of the mean logits, known after the last step.
  if (first + count == neuron_.steps) {
    backend_.loss().run(CrossEntropy{.logits = logits,
                                     .labels = images.labels.view(),
                                     .samples = samples,
                                     .logit_gradient = gradient_for(logits),
                                     .loss = unused_loss_.view(),
                                     .correct = correct});
  }
  const ConstMatrix each = engine_->step_logits();
  const float share = static_cast<float>(count) / static_cast<float>(neuron_.steps);
  backend_.loss().run(CrossEntropy{.logits = each,
                                   .labels = images.labels.view(),
                                   .samples = samples,
                                   .weight = share,
                                   .logit_gradient = gradient_for(each),
                                   .loss = loss,
                                   .correct = unused_correct_.view()});
  rule_->backward(*engine_, gradient_for(each), targets);
  const Matrix sum = summed_error_.matrix(samples.size(), each.cols);
  backend_.traces().run(SumSteps{.steps = count, .x = gradient_for(each), .sum = sum});
  readout_error_ = sum;
}

WeightGradient Trainer::gradient_of(std::size_t parameter) const {
  const auto& [p, feedback, weights] = learned_[parameter];
  const Projection& projection = network_.projections()[p];
  if (!feedback || network_.populations()[projection.target].kind == Population::Kind::readout)
    return rule_->weight_gradient(p);
  const ConstMatrix output = engine_->activity(projection.source).average_output;
  return {.post = readout_error_, .trace = output, .activity = output};
}

/// The operator on N traces costs as much as on N columns of the summed gradient or the direction, which has
/// `targets`: 2·M·n each with M subspace rows, n² with a whole matrix. The fewer are taken where the optimiser
/// allows both.
void Trainer::update_weights(std::size_t parameter) {
  const Matrix weights = learned_[parameter].weights;
  const WeightGradient gradient = gradient_of(parameter);
  PresynapticOperator* const projector = protection_->presynaptic_operator(learned_[parameter].projection);
  LinearPresynapticOperator* const of_sums = projector == nullptr ? nullptr : projector->linear();
  LinearSteps* const linear = optimiser_->linear_steps();
  if (linear != nullptr && (of_sums == nullptr || gradient.trace.rows <= weights.cols)) {
    update_by_traces(*linear, parameter);
    return;
  }
  const std::size_t size = weights.values.size();
  if (direction_.size() < size) direction_ = backend_.allocate<float>(size);
  const Matrix direction = direction_.matrix(weights.rows, weights.cols);
  {
    const PhaseTimer timer(seconds_, Phase::update);
    add_outer_products(backend_, 1.0F, gradient.trace, gradient.post, 0.0F, direction);
  }
  update_by_gradient(parameter, direction);
}

void Trainer::add_gradient(std::size_t parameter, bool to_others, PresynapticOperator* projector) {
  const WeightGradient gradient = gradient_of(parameter);
  Presynaptic trace = gradient.trace;
  if (projector != nullptr) {
    const PhaseTimer timer(seconds_, Phase::protect);
    trace = projector->apply_to_traces(trace);
  }
  const PhaseTimer timer(seconds_, Phase::update);
  add_outer_products(backend_, 1.0F, trace, gradient.post, to_others ? 1.0F : 0.0F,
                     summed_gradient(parameter));
}

Matrix Trainer::summed_gradient(std::size_t parameter) {
  const Matrix& weights = learned_[parameter].weights;
  return summed_gradients_[parameter].matrix(weights.rows, weights.cols);
}

void Trainer::update_by_gradient(std::size_t parameter, Matrix gradient) {
  const View<float> weights = learned_[parameter].weights.values;
  PresynapticOperator* const projector = protection_->presynaptic_operator(learned_[parameter].projection);
  LinearPresynapticOperator* const of_sums = projector == nullptr ? nullptr : projector->linear();
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

void Trainer::update_by_traces(LinearSteps& steps, std::size_t parameter) {
  const auto& [p, feedback, weights] = learned_[parameter];
  const WeightGradient gradient = gradient_of(parameter);
  Presynaptic trace = gradient.trace;
  if (PresynapticOperator* const projector = protection_->presynaptic_operator(p); projector != nullptr) {
    const PhaseTimer timer(seconds_, Phase::protect);
    trace = projector->apply_to_traces(trace);
  }
  const PhaseTimer timer(seconds_, Phase::update);
  steps.step(parameter, rate_, trace, gradient.post, weights);
}

void Trainer::update_thresholds() {
  const PhaseTimer timer(seconds_, Phase::update);
  for (std::size_t i = 0; i < network_.populations().size(); ++i) {
    const View<const float> gradient = rule_->threshold_gradient(i);
    if (gradient.empty()) continue;
    const View<float> threshold = network_.populations()[i].neuron->threshold();
    backend_.copy(gradient, threshold_direction_.view());
    optimiser_->find_direction(learned_.size() + i, {}, threshold_direction_.view());
    backend_.elementwise().run(Add{.alpha = -rate_, .x = threshold_direction_.view(), .y = threshold});
    backend_.elementwise().run(RaiseTo{.bound = lowest_threshold_, .values = threshold});
  }
}

bool Trainer::all_finite() {
  const auto finite = [&](View<const float> values) {
    return std::ranges::all_of(backend_.download(values), [](float value) { return std::isfinite(value); });
  };
  for (const Learned& learned : learned_) {
    const ConstMatrix weights = learned.weights;
    // A mean is finite where its terms are.
    Array<float> means = backend_.allocate<float>(weights.cols);
    backend_.traces().run(SumSteps{.scale = 1.0F / static_cast<float>(weights.rows),
                                   .steps = weights.rows,
                                   .x = weights,
                                   .sum = means.matrix(1, weights.cols)});
    if (!finite(std::as_const(means).view())) return false;
  }
  return std::ranges::all_of(network_.populations(), [&](const Population& population) {
    return population.neuron == nullptr || finite(population.neuron->threshold());
  });
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

Evaluation Trainer::evaluate(const StoredImages& images, View<const std::uint32_t> pixel_order) {
  const PhaseTimer timer(seconds_, Phase::evaluate);
  if (in_order_.size() < images.count) {
    std::vector<std::uint32_t> numbers(images.count);
    std::iota(numbers.begin(), numbers.end(), 0U);
    in_order_ = backend_.allocate<std::uint32_t>(images.count);
    backend_.upload(std::span<const std::uint32_t>(numbers), in_order_.view());
  }
  Array<double> loss = backend_.allocate<double>(1);
  Array<std::uint32_t> correct = backend_.allocate<std::uint32_t>(1);
  for (std::size_t first = 0; first < images.count; first += batch_size_) {
    const View<const std::uint32_t> samples =
        in_order_.view().subview(first, std::min(batch_size_, images.count - first));
    run_batch(images, samples, pixel_order);
    const ConstMatrix logits = engine_->logits();
    backend_.loss().run(CrossEntropy{.logits = logits,
                                     .labels = images.labels.view(),
                                     .samples = samples,
                                     .logit_gradient = logit_gradient_.matrix(logits.rows, logits.cols),
                                     .loss = loss.view(),
                                     .correct = correct.view()});
  }
  const auto count = static_cast<double>(images.count);
  return {.accuracy = backend_.download(View<const std::uint32_t>(correct.view()))[0] / count,
          .loss = backend_.download(View<const double>(loss.view()))[0] / count};
}

}  // namespace orthospike
