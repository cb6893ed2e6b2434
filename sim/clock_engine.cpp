#include "sim/clock_engine.hpp"

#include <algorithm>
#include <stdexcept>

namespace orthospike {

ClockEngine::ClockEngine(Network& network, const NeuronSettings& neuron, std::size_t max_batch,
                         const DeliverySettings& delivery)
    : network_(network), steps_(neuron.steps), dt_(neuron.dt), max_batch_(max_batch), delivery_(delivery) {
  network.check_complete();
  Backend& backend = network.backend();
  std::size_t widest = 0;
  for (const Population& population : network.populations()) {
    const std::size_t size = max_batch * population.size;
    Storage& storage = *storage_.emplace_back(std::make_unique<Storage>());
    if (population.kind == Population::Kind::spiking) {
      storage.counts = backend.allocate<std::uint32_t>(steps_ * max_batch);
      storage.indices = backend.allocate<std::uint32_t>(steps_ * size);
      storage.mean_output = backend.allocate<float>(size);
      storage.membrane = backend.allocate<float>(size);
      storage.spike_total = backend.allocate<std::uint64_t>(1);
      widest = std::max(widest, population.size);
    }
    if (population.kind != Population::Kind::input) storage.average_current = backend.allocate<float>(size);
    if (population.kind != Population::Kind::readout) storage.average_output = backend.allocate<float>(size);
  }
  currents_ = backend.allocate<float>(steps_ * max_batch * widest);
}

Matrix ClockEngine::input(std::size_t batch) {
  if (batch == 0 || batch > max_batch_)
    throw std::invalid_argument("batch size is 0 or above the engine's largest");
  batch_ = batch;
  const auto& populations = network_.populations();
  const auto found = std::ranges::find(populations, Population::Kind::input, &Population::kind);
  return storage_[static_cast<std::size_t>(found - populations.begin())]->average_output.matrix(batch,
                                                                                                found->size);
}

void ClockEngine::run() {
  Backend& backend = network_.backend();
  samples_ += static_cast<double>(batch_);
  for (const Projection& projection : network_.projections()) {
    const Population& source = network_.populations()[projection.source];
    const Population& target = network_.populations()[projection.target];
    const ConstActivity from = activity(projection.source);
    const Activity to = buffers(projection.target);

    if (target.kind == Population::Kind::readout) {
      backend.multiply(1.0F, from.average_output, Transpose::no, projection.matrix(), Transpose::no, 0.0F,
                       to.average_current);
      continue;
    }
    Matrix currents;
    if (source.kind == Population::Kind::input) {
      currents = currents_.matrix(batch_, target.size);
      backend.multiply(1.0F, from.average_output, Transpose::no, projection.matrix(), Transpose::no, 0.0F,
                       currents);
    } else {
      currents = currents_.matrix(steps_ * batch_, target.size);
      backend.deliver(from.spikes, projection.matrix(), source.neuron->threshold(), dt_, delivery_.form,
                      delivery_.crossover, currents);
    }
    target.neuron->run(backend, currents, to);
    backend.count_spikes(to.spikes.counts, storage_[projection.target]->spike_total.view());
  }
}

Activity ClockEngine::buffers(std::size_t population) const {
  const std::size_t size = network_.populations()[population].size;
  Storage& storage = *storage_[population];
  const auto matrix = [&](Array<float>& array) {
    return array.size() == 0 ? Matrix() : array.matrix(batch_, size);
  };
  Activity activity{.spikes = {},
                    .average_current = matrix(storage.average_current),
                    .average_output = matrix(storage.average_output),
                    .mean_output = matrix(storage.mean_output),
                    .membrane = matrix(storage.membrane)};
  if (storage.counts.size() > 0) {
    const Spikes all{storage.counts.view(), storage.indices.view(), steps_ * max_batch_, size};
    activity.spikes = all.first_rows(steps_ * batch_);
  }
  if (network_.populations()[population].kind == Population::Kind::input) {
    activity.mean_output = activity.average_output;
  }
  return activity;
}

ConstActivity ClockEngine::activity(std::size_t population) const {
  return buffers(population);
}

ConstMatrix ClockEngine::logits() const {
  const auto& populations = network_.populations();
  const auto found = std::ranges::find(populations, Population::Kind::readout, &Population::kind);
  return activity(static_cast<std::size_t>(found - populations.begin())).average_current;
}

ClockEngine::Work ClockEngine::work() const {
  Work work{.samples = samples_};
  for (std::size_t i = 0; i < storage_.size(); ++i) {
    if (storage_[i]->spike_total.size() == 0) continue;
    std::uint64_t spikes = 0;
    network_.backend().download(View<const std::uint64_t>(storage_[i]->spike_total.view()),
                                std::span(&spikes, 1));
    work.spikes += static_cast<double>(spikes);
    for (const Projection& projection : network_.projections()) {
      // A read-out gets the average of its input: one dense product, counted by the back end.
      if (projection.source == i &&
          network_.populations()[projection.target].kind == Population::Kind::spiking) {
        work.synaptic_operations += static_cast<double>(spikes) * static_cast<double>(projection.fan_out);
      }
    }
  }
  return work;
}

}  // namespace orthospike
