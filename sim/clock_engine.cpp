#include "sim/clock_engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "kernels/delivery.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/traces.hpp"

namespace orthospike {

namespace {

std::size_t index_of(const Network& network, Population::Kind kind) {
  const auto found = std::ranges::find(network.populations(), kind, &Population::kind);
  return static_cast<std::size_t>(found - network.populations().begin());
}

}  // namespace

void DeliverySettings::describe(SettingsVisitor& visit) {
  visit("network.delivery", form,
        {{"auto", DeliveryForm::automatic, "by measured density"},
         {"events", DeliveryForm::events, "what fired"},
         {"dense", DeliveryForm::dense, "a matrix product"}},
        "How spikes are delivered");
  visit.only(form == DeliveryForm::automatic, "network.delivery auto", [&] {
    visit("network.dense_crossover", crossover, fraction, "-",
          "Share of a dense product's additions above which automatic delivery takes that product: the share "
          "of active neurons, or less where neurons of a sample fire alike.");
  });
}

ClockEngine::ClockEngine(Network& network, std::size_t steps, std::size_t max_batch,
                         const DeliverySettings& delivery, std::size_t most_at_once)
    : network_(network),
      steps_(steps),
      most_at_once_(most_at_once == 0 ? steps : std::min(steps, most_at_once)),
      max_batch_(max_batch),
      delivery_(delivery) {
  network.check_complete();
  input_ = index_of(network, Population::Kind::input);
  readout_ = index_of(network, Population::Kind::readout);
  for (std::size_t p = 0; p < network.projections().size(); ++p) {
    const Projection& projection = network.projections()[p];
    if (!projection.is_recurrent() && p == network.projections_to(projection.target).back())
      order_.push_back(projection.target);
  }
  Backend& backend = network.backend();
  std::size_t most_currents = 0;
  std::size_t widest_recurrent = 0;
  std::size_t widest_sum = 0;  // of the populations that several projections reach
  std::size_t most_folded = 0, widest_offset = 0;
  for (std::size_t i = 0; i < network.populations().size(); ++i) {
    const Population& population = network.populations()[i];
    const std::size_t size = max_batch * population.size;
    if (network.projections_to(i).size() > 1) widest_sum = std::max(widest_sum, population.size);
    Storage& storage = *storage_.emplace_back(std::make_unique<Storage>());
    if (population.is_static()) storage.mean_output = backend.allocate<float>(size);
    if (population.kind == Population::Kind::bias)
      backend.elementwise().run(RaiseTo{.bound = 1.0F, .values = storage.mean_output.view()});
    if (population.kind != Population::Kind::spiking) continue;
    storage.counts = backend.allocate<std::uint32_t>(most_at_once_ * max_batch);
    storage.indices = backend.allocate<std::uint32_t>(most_at_once_ * size);
    storage.index = backend.make_spike_index();
    storage.mean_output = backend.allocate<float>(size);
    if (!network.carriers(i).empty())
      storage.carried_on = backend.allocate<float>(has_constant_currents(i) ? size : most_at_once_ * size);
    if (most_at_once_ < steps_) storage.mean_of_all = backend.allocate<float>(size);
    for (std::size_t k = 0; k < population.neuron->state_fields().size(); ++k)
      storage.state.push_back(backend.allocate<float>(size));
    storage.spike_total = backend.allocate<std::uint64_t>(1);
    if (population.neuron->has_weighted_averages()) {
      storage.average_current = backend.allocate<float>(size);
      storage.average_output = backend.allocate<float>(size);
    }
    const bool is_recurrent = network.recurrent_projection(i) != nullptr;
    most_currents =
        std::max(most_currents, has_constant_currents(i) && !is_recurrent ? size : most_at_once_ * size);
    if (is_recurrent) widest_recurrent = std::max(widest_recurrent, population.size);
    if (can_fold(i)) {
      const Projection& projection = network.projections()[network.projections_to(i).front()];
      most_folded = std::max(most_folded, projection.weights.size());
      widest_offset = std::max(widest_offset, projection.outputs());
    }
  }
  currents_ = backend.allocate<float>(most_currents);
  further_currents_ = backend.allocate<float>(most_at_once_ * max_batch * widest_sum);
  folded_weights_ = backend.allocate<float>(most_folded);
  folded_offset_ = backend.allocate<float>(widest_offset);
  recurrent_currents_ = backend.allocate<float>(max_batch * widest_recurrent);
  logits_ = backend.allocate<float>(max_batch * classes());
  readout_currents_ = backend.allocate<float>(max_batch * classes());
  readout_state_ = backend.allocate<float>(max_batch * classes());
}

Matrix ClockEngine::input(std::size_t batch) {
  if (batch == 0 || batch > max_batch_)
    throw std::invalid_argument("batch size is 0 or above the engine's largest");
  batch_ = batch;
  return storage_[input_]->mean_output.matrix(batch, network_.populations()[input_].size);
}

void ClockEngine::run(const Recording& recording) {
  if (most_at_once_ == steps_) return run_steps(0, steps_, recording);
  Backend& backend = network_.backend();
  for (std::size_t first = 0; first < steps_; first += count_) {
    run_steps(first, std::min(most_at_once_, steps_ - first), recording);
    const float share = static_cast<float>(count_) / static_cast<float>(steps_);
    for (const auto& storage : storage_) {
      if (storage->mean_of_all.size() == 0) continue;
      backend.elementwise().run(Add{.alpha = share,
                                    .x = std::as_const(storage->mean_output).view(),
                                    .beta = first == 0 ? 0.0F : 1.0F,
                                    .y = storage->mean_of_all.view()});
    }
  }
  for (const auto& storage : storage_) {
    if (storage->mean_of_all.size() > 0)
      backend.copy(std::as_const(storage->mean_of_all).view(), storage->mean_output.view());
  }
}

void ClockEngine::run_steps(std::size_t first, std::size_t count, const Recording& recording) {
  if (count == 0 || first + count > steps_ || count > most_at_once_)
    throw std::invalid_argument("steps beyond the last, or more than are held");
  count_before_ = first == 0 ? 0 : count_;
  first_ = first;
  count_ = count;
  if (first == 0) samples_ += static_cast<double>(batch_);
  Recording& kept = recorded_;
  kept = recording;
  if (observer_ != nullptr) {
    const Recording wanted = observer_->wanted(first, batch_);
    kept.margins |= wanted.margins;
    kept.step_logits |= wanted.step_logits;
    kept.states |= wanted.states;
    kept.currents |= wanted.currents;
  }
  auto& run = runs_[{batch_, count_before_, count, kept}];
  if (run == nullptr) run = network_.backend().make_repeated_work();
  network_.backend().repeat(*run, [&] { run_populations(kept); });
  if (observer_ != nullptr) observer_->ran(*this);
}

void ClockEngine::run_populations(const Recording& recording) {
  for (const std::size_t population : order_) {
    if (population == readout_) {
      run_readout(recording.step_logits);
    } else {
      run_spiking(population, recording);
    }
  }
}

void ClockEngine::run_spiking(std::size_t population, const Recording& recording) {
  Backend& backend = network_.backend();
  Storage& storage = *storage_[population];
  make_room(recording, population);
  const Matrix arriving = currents(population, currents_);
  carry(population, arriving);
  normalise(population, arriving, recording);
  const Activity to = buffers(population, 0, count_, recording);
  if (const Projection* recurrent = network_.recurrent_projection(population)) {
    run_recurrent(*recurrent, arriving, recording);
  } else {
    if (recording.currents) {
      // Currents that are always the same are there for each step, too.
      for (std::size_t row = 0; row < to.current.rows; row += arriving.rows)
        backend.copy(ConstMatrix(arriving).values, to.current.row_range(row, arriving.rows).values);
    }
    network_.populations()[population].neuron->run(backend, first_, count_, arriving, to);
  }
  storage.index.spikes_changed(count_);
  backend.delivery().run(CountSpikes{.counts = to.spikes.counts, .total = storage.spike_total.view()});
}

void ClockEngine::make_room(const Recording& recording, std::size_t population) {
  Backend& backend = network_.backend();
  const std::size_t size = most_at_once_ * max_batch_ * network_.populations()[population].size;
  Storage& storage = *storage_[population];
  if (recording.margins && storage.margin.size() == 0) storage.margin = backend.allocate<float>(size);
  if (recording.currents && storage.current.size() == 0) storage.current = backend.allocate<float>(size);
  if (recording.trains_normalisation && storage.normalised.size() == 0 &&
      network_.populations()[population].normalisation != nullptr)
    storage.normalised =
        backend.allocate<float>(has_constant_currents(population) ? size / most_at_once_ : size);
  while (recording.states && storage.each_state.size() < storage.state.size())
    storage.each_state.push_back(backend.allocate<float>(size));
}

void ClockEngine::carry(std::size_t population, Matrix currents) {
  Backend& backend = network_.backend();
  if (const auto& carried = network_.populations()[population].carried) {
    const std::size_t rows = has_constant_currents(*carried) ? batch_ : count_ * batch_;
    const ConstMatrix own = storage_[*carried]->carried_on.matrix(rows, currents.cols);
    for (std::size_t row = 0; row < currents.rows; row += rows)
      backend.elementwise().run(Add{.x = own.values, .y = currents.row_range(row, rows).values});
  }
  Array<float>& kept = storage_[population]->carried_on;
  if (kept.size() > 0)
    backend.copy(ConstMatrix(currents).values, kept.matrix(currents.rows, currents.cols).values);
}

void ClockEngine::normalise(std::size_t population, Matrix currents, const Recording& recording) {
  Normalisation* const normalisation = network_.populations()[population].normalisation.get();
  if (normalisation == nullptr) return;
  if (recording.trains_normalisation) {
    normalisation->train(currents, batch_, count_, buffers(population, 0, count_, recording).normalised);
  } else if (!can_fold(population)) {
    normalisation->run(currents);
  }
}

bool ClockEngine::can_fold(std::size_t population) const {
  const Population& target = network_.populations()[population];
  const std::vector<std::size_t> arriving = network_.projections_to(population);
  return target.normalisation != nullptr && arriving.size() == 1 &&
         !is_static(network_.projections()[arriving.front()]) && !target.carried &&
         network_.carriers(population).empty() &&
         network_.projections()[arriving.front()].outputs() == target.normalisation->channels();
}

bool ClockEngine::has_constant_currents(std::size_t population) const {
  const auto& carried = network_.populations()[population].carried;
  return (!carried || has_constant_currents(*carried)) &&
         std::ranges::all_of(network_.projections_to(population),
                             [&](std::size_t p) { return is_static(network_.projections()[p]); });
}

Matrix ClockEngine::currents(std::size_t population, Array<float>& room) {
  const std::size_t size = network_.populations()[population].size;
  const std::vector<std::size_t> arriving = network_.projections_to(population);
  const Matrix sum = room.matrix((has_constant_currents(population) ? 1 : count_) * batch_, size);
  for (const std::size_t p : arriving) {
    const Projection& projection = network_.projections()[p];
    const bool is_first = p == arriving.front();
    const std::size_t rows = is_static(projection) ? batch_ : sum.rows;
    const Matrix own = is_first ? sum.first_rows(rows) : further_currents_.matrix(rows, size);
    deliver(projection, own);
    if (is_first) {
      repeat_first_rows(sum, rows);
      continue;
    }
    for (std::size_t row = 0; row < sum.rows; row += rows)
      network_.backend().elementwise().run(
          Add{.x = ConstMatrix(own).values, .y = sum.row_range(row, rows).values});
  }
  return sum;
}

void ClockEngine::repeat_first_rows(Matrix matrix, std::size_t rows) {
  for (std::size_t row = rows; row < matrix.rows; row += rows)
    network_.backend().copy(ConstMatrix(matrix).first_rows(rows).values, matrix.row_range(row, rows).values);
}

void ClockEngine::deliver(const Projection& projection, Matrix currents) {
  Backend& backend = network_.backend();
  const Connection& connection = *projection.connection;
  const ConstActivity from = activity(projection.source);
  if (is_static(projection)) {
    connection.deliver(backend, projection.matrix(), from.mean_output, currents);
    return;
  }
  const SentSpikes spikes = sent(projection.source, from.spikes);
  if (recorded_.trains_normalisation || !can_fold(projection.target)) {
    connection.deliver(backend, projection.matrix(), spikes, currents);
    return;
  }
  const Matrix folded = folded_weights_.matrix(projection.presynaptic(), projection.outputs());
  const View<float> offset = folded_offset_.view().subview(0, projection.outputs());
  network_.populations()[projection.target].normalisation->fold(projection.matrix(), folded, offset);
  connection.deliver(backend, folded, spikes, currents, offset);
}

SentSpikes ClockEngine::sent(std::size_t population, ConstSpikes spikes) const {
  const auto height = network_.populations()[population].neuron->spike_height();
  return {.spikes = spikes,
          .height = height.numerator,
          .dt = height.denominator,
          .form = delivery_.form,
          .crossover = delivery_.crossover};
}

void ClockEngine::run_recurrent(const Projection& recurrent, ConstMatrix feed_forward,
                                const Recording& recording) {
  Backend& backend = network_.backend();
  const Population& population = network_.populations()[recurrent.target];
  const bool constant = feed_forward.rows == batch_;
  for (std::size_t step = 0; step < count_; ++step) {
    ConstMatrix currents = constant ? feed_forward : feed_forward.row_range(step * batch_, batch_);
    if (first_ + step > 0) {
      // Of the first step, the spikes of the last one of the run before, whose place nothing has taken yet.
      const std::size_t before = step > 0 ? step - 1 : count_before_ - 1;
      const Matrix sum = recurrent_currents_.matrix(batch_, population.size);
      const ConstSpikes spikes = buffers(recurrent.target, before, 1).spikes;
      recurrent.connection->deliver(backend, recurrent.matrix(), sent(recurrent.target, spikes), sum);
      backend.elementwise().run(Add{.x = currents.values, .y = sum.values});
      currents = sum;
    }
    const Activity to = buffers(recurrent.target, step, 1, recording);
    if (recording.currents) backend.copy(currents.values, to.current.values);
    population.neuron->run(backend, first_ + step, 1, currents, to);
  }
  // Each step left its own mean; currents are no longer needed.
  const Activity all = buffers(recurrent.target);
  const Matrix spikes = currents_.matrix(count_ * batch_, population.size);
  backend.delivery().run(ExpandSpikes{.spikes = all.spikes, .x = spikes});
  backend.traces().run(SumSteps{
      .scale = 1.0F / static_cast<float>(count_), .steps = count_, .x = spikes, .sum = all.mean_output});
}

void ClockEngine::run_readout(bool step_logits) {
  Backend& backend = network_.backend();
  const Matrix logits = logits_.matrix(batch_, classes());
  const float leak = network_.populations()[readout_].leak;
  if (leak == 0.0F && !step_logits) {
    const Matrix own = readout_currents_.matrix(batch_, classes());
    float kept = first_ == 0 ? 0.0F : 1.0F;
    for (const std::size_t p : network_.projections_to(readout_)) {
      const Projection& projection = network_.projections()[p];
      projection.connection->deliver(backend, projection.matrix(), activity(projection.source).average_output,
                                     own);
      backend.elementwise().run(Add{.alpha = static_cast<float>(count_) / static_cast<float>(steps_),
                                    .x = ConstMatrix(own).values,
                                    .beta = kept,
                                    .y = logits.values});
      kept = 1;
    }
    return;
  }
  if (step_logits_.size() == 0)
    step_logits_ = backend.allocate<float>(most_at_once_ * max_batch_ * classes());
  const Matrix steps = step_logits_.matrix(count_ * batch_, classes());
  if (currents(readout_, step_logits_).rows < steps.rows) repeat_first_rows(steps, batch_);
  const Matrix state = readout_state_.matrix(batch_, classes());
  if (first_ == 0) backend.clear(state.values);
  backend.traces().run(Filter{.decay = leak, .steps = count_, .x = steps, .last = state});
  if (first_ == 0) {
    backend.traces().run(
        SumSteps{.scale = 1.0F / static_cast<float>(steps_), .steps = count_, .x = steps, .sum = logits});
    return;
  }
  for (std::size_t step = 0; step < count_; ++step) {
    backend.elementwise().run(Add{.alpha = 1.0F / static_cast<float>(steps_),
                                  .x = ConstMatrix(steps).row_range(step * batch_, batch_).values,
                                  .y = logits.values});
  }
}

Activity ClockEngine::buffers(std::size_t population, std::size_t first, std::size_t count,
                              const Recording& recording) const {
  const std::size_t size = network_.populations()[population].size;
  Storage& storage = *storage_[population];
  const auto matrix = [&](Array<float>& array) {
    return array.size() == 0 ? Matrix() : array.matrix(batch_, size);
  };
  Activity activity{.spikes = {},
                    .average_current = matrix(storage.average_current),
                    .average_output = matrix(storage.average_output),
                    .mean_output = matrix(storage.mean_output),
                    .margin = {},
                    .state = {}};
  for (Array<float>& field : storage.state) activity.state.push_back(matrix(field));
  if (storage.average_output.size() == 0) activity.average_output = activity.mean_output;
  if (storage.counts.size() > 0) {
    const Spikes all{storage.counts.view(), storage.indices.view(), most_at_once_ * max_batch_, size};
    activity.spikes = all.row_range(first * batch_, count * batch_);
  }
  const auto steps = [&](Array<float>& array) {
    return array.matrix(most_at_once_ * batch_, size).row_range(first * batch_, count * batch_);
  };
  if (recording.margins && storage.margin.size() > 0) activity.margin = steps(storage.margin);
  if (recording.currents && storage.current.size() > 0) activity.current = steps(storage.current);
  if (recording.states) {
    for (Array<float>& field : storage.each_state) activity.each_state.push_back(steps(field));
  }
  if (recording.trains_normalisation && storage.normalised.size() > 0) {
    const bool constant = has_constant_currents(population);
    activity.normalised = constant ? matrix(storage.normalised) : steps(storage.normalised);
  }
  return activity;
}

ConstActivity ClockEngine::activity(std::size_t population) const {
  Activity all = buffers(population, 0, count_, recorded_);
  all.spikes.index = storage_[population]->index.key();
  return all;
}

ConstMatrix ClockEngine::state(std::size_t population, std::string_view field) const {
  if (const auto& neuron = network_.populations()[population].neuron) {
    const auto names = neuron->state_fields();
    const auto found = std::ranges::find(names, field);
    if (found != names.end())
      return buffers(population).state[static_cast<std::size_t>(found - names.begin())];
  }
  throw std::invalid_argument(
      fmt::format("population '{}' has no state '{}'", network_.populations()[population].name, field));
}

ClockEngine::Work ClockEngine::work() const {
  Work work{.population_spikes = std::vector<double>(storage_.size()), .samples = samples_};
  for (std::size_t i = 0; i < storage_.size(); ++i) {
    if (storage_[i]->spike_total.size() == 0) continue;
    std::uint64_t spikes = 0;
    network_.backend().download(View<const std::uint64_t>(storage_[i]->spike_total.view()),
                                std::span(&spikes, 1));
    work.population_spikes[i] = static_cast<double>(spikes);
    work.spikes += work.population_spikes[i];
    for (const Projection& projection : network_.projections()) {
      // A read-out gets the average of its input: one dense product, counted by the back end.
      if (projection.source == i && projection.target != readout_)
        work.synaptic_operations += static_cast<double>(spikes) * projection.connection->fan_out();
    }
  }
  return work;
}

}  // namespace orthospike
