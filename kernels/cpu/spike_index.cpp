#include "kernels/cpu/spike_index.hpp"

#include <array>
#include <numeric>

#include "kernels/cpu/parallel.hpp"

namespace orthospike {

void CpuSpikeIndex::Lists::resize(std::size_t rows, std::size_t all_events) {
  indices.resize(all_events);
  counts.resize(rows);
  starts.resize(rows);
  events = all_events;
}

CpuSpikeIndex::Parts::Parts(std::size_t steps, std::size_t batch) : steps(steps), batch(batch) {
  constexpr std::size_t longest_window = 8;
  const std::size_t windows = (steps + longest_window - 1) / longest_window;
  window = (steps + windows - 1) / windows;
}

void CpuSpikeIndex::update(const ConstSpikes& spikes, ThreadPool& pool) {
  if (spikes.index.index != nullptr && spikes.index.version == version_) return;
  const std::uint32_t* const counts = spikes.counts.address();
  neurons_of_row_ = {.indices = spikes.indices.address(),
                     .counts = counts,
                     .starts = nullptr,
                     .stride = spikes.neurons,
                     .rows = spikes.rows,
                     .events = std::accumulate(counts, counts + spikes.rows, std::size_t{0})};
  neurons_ = spikes.neurons;
  groups_ = 0;
  if (spikes.index.steps > 1) find_groups(spikes, pool);
  const std::size_t additions =
      groups_ > 0 ? groups_ + neurons_of_group_.events + groups_of_row_.events : neurons_of_row_.events;
  relative_cost_ = static_cast<double>(additions) / static_cast<double>(spikes.rows * spikes.neurons);
  version_ = spikes.index.version;
  has_neurons_ = false;
}

void CpuSpikeIndex::find_groups(const ConstSpikes& spikes, ThreadPool& pool) {
  // Sums of groups go through memory, and the lists have to be made: groups pay from some saving on, of which
  // a few parts give an idea.
  constexpr double worthwhile = 0.75;
  constexpr std::size_t tried = 8;
  const Parts parts(spikes.index.steps, spikes.rows / spikes.index.steps);
  neurons_of_group_.indices.resize(parts.count() * spikes.neurons);
  trains_.resize(parts.count());
  std::size_t additions = 0, spikes_seen = 0;
  for (std::size_t part = 0; part < parts.count(); part += std::max<std::size_t>(1, parts.count() / tried)) {
    find_trains(spikes, parts, part);
    for (const Train& train : trains_[part]) {
      additions += 1 + train.neurons + train.spikes();
      spikes_seen += train.neurons * train.spikes();
    }
  }
  if (static_cast<double>(additions) >= worthwhile * static_cast<double>(spikes_seen)) return;

  const std::size_t piece = std::max<std::size_t>(1, elementwise_piece / spikes.neurons);
  const auto for_each_part = [&](const auto& work) {
    for_each_range(pool, parts.count(), piece, [&](std::size_t, std::size_t first, std::size_t last) {
      for (std::size_t part = first; part < last; ++part) work(part);
    });
  };
  for_each_part([&](std::size_t part) { find_trains(spikes, parts, part); });
  std::vector<std::size_t> first_group, first_event;
  std::size_t members = 0, events = 0;
  for (const std::vector<Train>& trains : trains_) {
    first_group.push_back(groups_);
    first_event.push_back(events);
    groups_ += trains.size();
    for (const Train& train : trains) {
      members += train.neurons;
      events += train.spikes();
    }
  }
  neurons_of_group_.counts.resize(groups_);
  neurons_of_group_.starts.resize(groups_);
  neurons_of_group_.events = members;
  rows_of_group_.resize(groups_, events);
  groups_of_row_.resize(spikes.rows, events);
  for_each_part([&](std::size_t part) { list_groups(parts, part, first_group[part], first_event[part]); });
}

void CpuSpikeIndex::find_trains(const ConstSpikes& spikes, const Parts& parts, std::size_t part) {
  std::vector<std::uint8_t> train_of(spikes.neurons);
  for (std::size_t step = 0; step < parts.steps_of(part); ++step) {
    const std::size_t row = parts.row(part, step);
    const std::uint32_t* const events = spikes.indices.address() + row * spikes.neurons;
    for (std::uint32_t event = 0; event < spikes.counts.address()[row]; ++event)
      train_of[events[event]] |= static_cast<std::uint8_t>(1U << step);
  }
  // Neurons are sorted by their trains; the silent ones come last, in no group.
  std::array<std::uint32_t, 256> place{};
  for (const std::uint8_t train : train_of) ++place[train];
  std::vector<Train>& trains = trains_[part];
  trains.clear();
  std::uint32_t placed = 0;
  for (std::size_t train = 1; train < place.size(); ++train) {
    const std::uint32_t neurons = place[train];
    if (neurons > 0) trains.push_back({static_cast<std::uint8_t>(train), placed, neurons});
    place[train] = placed;
    placed += neurons;
  }
  place[0] = placed;
  std::uint32_t* const members = neurons_of_group_.indices.data() + part * spikes.neurons;
  for (std::size_t neuron = 0; neuron < spikes.neurons; ++neuron)
    members[place[train_of[neuron]]++] = static_cast<std::uint32_t>(neuron);
}

void CpuSpikeIndex::list_groups(const Parts& parts, std::size_t part, std::size_t first_group,
                                std::size_t first_event) {
  const std::vector<Train>& trains = trains_[part];
  std::size_t event = first_event;
  for (std::size_t i = 0; i < trains.size(); ++i) {
    const std::size_t group = first_group + i;
    neurons_of_group_.starts[group] = part * neurons_ + trains[i].first;
    neurons_of_group_.counts[group] = trains[i].neurons;
    rows_of_group_.starts[group] = event;
    rows_of_group_.counts[group] = trains[i].spikes();
    for (unsigned steps = trains[i].steps; steps != 0; steps &= steps - 1) {
      const auto step = static_cast<std::size_t>(std::countr_zero(steps));
      rows_of_group_.indices[event++] = static_cast<std::uint32_t>(parts.row(part, step));
    }
  }
  event = first_event;
  for (std::size_t step = 0; step < parts.steps_of(part); ++step) {
    const std::size_t row = parts.row(part, step);
    groups_of_row_.starts[row] = event;
    for (std::size_t i = 0; i < trains.size(); ++i) {
      if ((trains[i].steps >> step & 1U) != 0)
        groups_of_row_.indices[event++] = static_cast<std::uint32_t>(first_group + i);
    }
    groups_of_row_.counts[row] = static_cast<std::uint32_t>(event - groups_of_row_.starts[row]);
  }
}

EventRows CpuSpikeIndex::of_neuron() {
  if (has_neurons_) return of_neuron_.view();
  const EventRows from = groups_ > 0 ? neurons_of_group() : neurons_of_row_;
  of_neuron_.resize(neurons_, from.events);
  const auto for_each_event = [&](const auto& visit) {
    for (std::size_t row = 0; row < from.rows; ++row) {
      const std::uint32_t* const events = from.indices + from.start(row);
      for (std::uint32_t event = 0; event < from.counts[row]; ++event) visit(row, events[event]);
    }
  };
  std::ranges::fill(of_neuron_.counts, 0U);
  for_each_event([&](std::size_t, std::uint32_t neuron) { ++of_neuron_.counts[neuron]; });
  std::exclusive_scan(of_neuron_.counts.begin(), of_neuron_.counts.end(), of_neuron_.starts.begin(),
                      std::size_t{0});
  std::ranges::fill(of_neuron_.counts, 0U);
  for_each_event([&](std::size_t row, std::uint32_t neuron) {
    of_neuron_.indices[of_neuron_.starts[neuron] + of_neuron_.counts[neuron]++] =
        static_cast<std::uint32_t>(row);
  });
  has_neurons_ = true;
  return of_neuron_.view();
}

}  // namespace orthospike
