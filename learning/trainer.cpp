#include "learning/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

Delivery delivery_form(const std::string& name) {
  if (name == "auto") return Delivery::automatic;
  if (name == "events") return Delivery::events;
  if (name == "dense") return Delivery::dense;
  throw ConfigError(fmt::format("network.delivery: '{}' is not one of auto, events, dense", name));
}

}  // namespace

NeuronSettings neuron_settings(const Config& config) {
  return {.steps = config.neuron.steps,
          .dt = config.neuron.dt,
          .tau = config.neuron.tau,
          .threshold = config.neuron.threshold,
          .firing_fraction = config.neuron.firing_fraction};
}

ProtectionSettings protection_settings(const Config& config, std::size_t projections) {
  ProtectionSettings settings{
      .seed = config.experiment.seed,
      .max_batch = config.training.batch_size,
      .hlop = {.extractor = config.hlop.extractor,
               .learning = {},
               .lateral_neurons = config.hlop.lateral_neurons,
               .lateral = {.scale = config.hlop.lateral_scale, .steps = config.hlop.lateral_steps},
               .ranks = parse_ranks(config.hlop.ranks, config.tasks.count, projections),
               .orthonormalise = config.hlop.orthonormalise}};
  const std::vector<float>& rates = config.hebbian.learning_rate;
  for (std::size_t p = 0; p < projections; ++p) {
    settings.hlop.learning.push_back({.learning_rate = rates[std::min(p, rates.size() - 1)],
                                      .momentum = config.hebbian.momentum,
                                      .clamp = config.hebbian.clamp,
                                      .iterations = config.hebbian.iterations});
  }
  return settings;
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
      network_(backend) {
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
    last = next;
  }
  const std::size_t readout = network_.add_population(
      {.name = "readout", .size = classes, .kind = Population::Kind::readout, .neuron = nullptr});
  network_.add_projection(fmt::format("hidden{}_to_readout", sizes.size()), last, readout);
  network_.initialise_weights(config.experiment.seed);

  engine_ = std::make_unique<ClockEngine>(network_, neuron_, batch_size_,
                                          DeliverySettings{.form = delivery_form(config.network.delivery),
                                                           .crossover = config.network.dense_crossover});
  feedback_ = error_feedbacks().make(config.feedback.name, network_);
  rule_ = rules().make(config.rule.name, network_, *feedback_, batch_size_);
  protection_ = protections().make(config.protection.name, network_,
                                   protection_settings(config, network_.projections().size()));
  // Parameters: the weights of each projection, then the threshold of each population.
  optimiser_ = optimisers().make(
      config.optimiser.name, backend, network_.projections().size() + network_.populations().size(),
      {.learning_rate = config.optimiser.learning_rate, .momentum = config.optimiser.momentum});
  logit_gradient_ = backend.allocate<float>(batch_size_ * classes);
}

void Trainer::begin_task(std::size_t task) {
  train_thresholds_ = task == 0;
  protection_->begin_task(task);
  optimiser_->begin_task();
}

void Trainer::end_task() {
  protection_->end_task();
}

void Trainer::run_batch(const StoredImages& images, View<const std::uint32_t> samples,
                        View<const std::uint32_t> pixel_order) {
  backend_.encode_images(images.pixels.view(), samples, pixel_order, mean_, deviation_,
                         engine_->input(samples.size()));
  engine_->run();
}

void Trainer::train_batch(const StoredImages& images, View<const std::uint32_t> samples,
                          View<const std::uint32_t> pixel_order, View<double> loss,
                          View<std::uint32_t> correct) {
  {
    const PhaseTimer timer(seconds_, Phase::encode);
    backend_.encode_images(images.pixels.view(), samples, pixel_order, mean_, deviation_,
                           engine_->input(samples.size()));
  }
  {
    const PhaseTimer timer(seconds_, Phase::forward);
    engine_->run();
  }
  {
    const PhaseTimer timer(seconds_, Phase::rule);
    const ConstMatrix logits = engine_->logits();
    const Matrix gradient = logit_gradient_.matrix(logits.rows, logits.cols);
    backend_.cross_entropy(logits, images.labels.view(), samples, gradient, loss, correct);
    rule_->backward(*engine_, gradient);
  }
  for (std::size_t p = 0; p < network_.projections().size(); ++p) {
    update_weights(p);
    const PhaseTimer timer(seconds_, Phase::extract);
    protection_->observe(p, rule_->weight_gradient(p).activity);
  }
  if (train_thresholds_) update_thresholds();
}

/// The projection of the traces costs 2·N·M·n, that of the summed gradient 2·targets·M·n: the smaller is
/// taken where the projection is linear, else that of the traces.
void Trainer::update_weights(std::size_t p) {
  Projection& projection = network_.projections()[p];
  const WeightGradient gradient = rule_->weight_gradient(p);
  PresynapticOperator* const projector = protection_->presynaptic_operator(p);
  LinearPresynapticOperator* const linear = projector == nullptr ? nullptr : projector->linear();
  if (linear == nullptr || gradient.trace.rows <= projection.fan_out) {
    ConstMatrix trace = gradient.trace;
    if (projector != nullptr) {
      const PhaseTimer timer(seconds_, Phase::protect);
      trace = projector->apply_to_traces(trace);
    }
    const PhaseTimer timer(seconds_, Phase::update);
    optimiser_->step(p, projection.matrix(), trace, gradient.post);
    return;
  }
  const std::size_t size = projection.fan_in * projection.fan_out;
  if (weight_gradient_.size() < size) weight_gradient_ = backend_.allocate<float>(size);
  const Matrix summed = weight_gradient_.matrix(projection.fan_in, projection.fan_out);
  {
    const PhaseTimer timer(seconds_, Phase::protect);
    backend_.multiply(1.0F, gradient.trace, Transpose::yes, gradient.post, Transpose::no, 0.0F, summed);
    linear->apply_to_gradient(summed);
  }
  const PhaseTimer timer(seconds_, Phase::update);
  optimiser_->step(p, projection.weights.view(), summed.values);
}

void Trainer::update_thresholds() {
  const PhaseTimer timer(seconds_, Phase::update);
  for (std::size_t i = 0; i < network_.populations().size(); ++i) {
    const View<const float> gradient = rule_->threshold_gradient(i);
    if (gradient.empty()) continue;
    const View<float> threshold = network_.populations()[i].neuron->threshold();
    optimiser_->step(network_.projections().size() + i, threshold, gradient);
    backend_.raise_to(lowest_threshold_, threshold);
  }
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
    backend_.cross_entropy(logits, images.labels.view(), samples,
                           logit_gradient_.matrix(logits.rows, logits.cols), loss.view(), correct.view());
  }
  const auto count = static_cast<double>(images.count);
  return {.accuracy = backend_.download(View<const std::uint32_t>(correct.view()))[0] / count,
          .loss = backend_.download(View<const double>(loss.view()))[0] / count};
}

}  // namespace orthospike
