#include "kernels/cpu/spike_index.hpp"

#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

EventLists lists(const EventRows& events) {
  EventLists all(events.rows);
  for (std::size_t row = 0; row < events.rows; ++row) {
    const std::uint32_t* const first = events.indices + events.start(row);
    all[row].assign(first, first + events.counts[row]);
  }
  return all;
}

/// Rows of outer · inner, each of whose neurons must come from one group.
EventLists product(const EventLists& outer, const EventLists& inner) {
  EventLists rows(outer.size());
  for (std::size_t row = 0; row < outer.size(); ++row) {
    for (const std::uint32_t group : outer[row])
      rows[row].insert(rows[row].end(), inner[group].begin(), inner[group].end());
    std::ranges::sort(rows[row]);
  }
  return rows;
}

EventLists transposed(const EventLists& events, std::size_t columns) {
  EventLists result(columns);
  for (std::size_t row = 0; row < events.size(); ++row) {
    for (const std::uint32_t column : events[row]) result[column].push_back(static_cast<std::uint32_t>(row));
  }
  return result;
}

/// Row step · batch + sample: neuron i of sample b fires every (i + b) % 5 steps, never where that is 0.
EventLists regular(std::size_t steps, std::size_t batch, std::size_t neurons) {
  EventLists events(steps * batch);
  for (std::size_t row = 0; row < events.size(); ++row) {
    for (std::size_t i = 0; i < neurons; ++i) {
      const std::size_t interval = (i + row % batch) % 5;
      if (interval > 0 && (row / batch + 1) % interval == 0)
        events[row].push_back(static_cast<std::uint32_t>(i));
    }
  }
  return events;
}

Spikes of_steps(SpikeArrays& spikes, std::size_t steps) {
  Spikes view = spikes.view();
  view.index.steps = steps;
  return view;
}

}  // namespace

TEST_CASE("groups of equal trains are factors of the spikes", "[spike_index]") {
  const auto cpu = make_backend("cpu", 1);
  for (const std::size_t steps : {6U, 8U, 17U}) {
    const EventLists events = regular(steps, 3, 200);
    SpikeArrays spikes = uploaded_spikes(*cpu, events, 200);
    CpuSpikeIndex index;
    ThreadPool pool(2);
    index.update(of_steps(spikes, steps), pool);
    INFO(steps << " steps");
    REQUIRE(index.groups() > 0);
    // Intervals of 1, 2, 3 and 4 steps in each sample and window of up to 8 steps.
    CHECK(index.groups() == 3 * 4 * ((steps + 7) / 8));
    const EventLists of_group = lists(index.neurons_of_group());
    const EventLists of_row = lists(index.groups_of_row());
    CHECK(product(of_row, of_group) == events);
    CHECK(lists(index.rows_of_group()) == transposed(of_row, index.groups()));
    CHECK(lists(index.of_neuron()) == transposed(of_group, 200));
    const double additions =
        static_cast<double>(index.groups() + index.neurons_of_group().events + index.groups_of_row().events);
    CHECK(index.relative_cost() == additions / (200.0 * static_cast<double>(events.size())));
  }
}

TEST_CASE("spikes without common trains have no groups", "[spike_index]") {
  const auto cpu = make_backend("cpu", 1);
  const EventLists events = random_events(6 * 3, 20, 0.1, 1);
  SpikeArrays spikes = uploaded_spikes(*cpu, events, 20);
  CpuSpikeIndex index;
  ThreadPool pool(1);
  index.update(of_steps(spikes, 6), pool);
  CHECK(index.groups() == 0);
  CHECK(lists(index.neurons_of_row()) == events);
  CHECK(lists(index.of_neuron()) == transposed(events, 20));
}

TEST_CASE("an index that another back end keeps is refused", "[spike_index]") {
  CpuBackend cpu(1), other(1);
  SpikeArrays spikes = uploaded_spikes(cpu, random_events(6, 20, 0.1, 1), 20);
  const SpikeIndex index = other.make_spike_index();
  Spikes view = spikes.view();
  view.index = index.key();
  CHECK_THROWS_AS(cpu.index_of(view), std::invalid_argument);
  view.index = cpu.make_spike_index().key();  // which is gone by now
  CHECK_THROWS_AS(cpu.index_of(view), std::invalid_argument);
}

}  // namespace orthospike::testing
