#include <numeric>
#include <string>
#include <vector>

#include "kernels/delivery.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

constexpr float height = 0.3F;
constexpr float dt = 0.05F;
constexpr float half = 0.5F;

std::vector<std::uint32_t> everyone(std::size_t neurons) {
  std::vector<std::uint32_t> all(neurons);
  std::iota(all.begin(), all.end(), 0U);
  return all;
}

std::vector<float> delivered(Backend& backend, const EventLists& events, std::size_t neurons,
                             const std::vector<float>& weights, DeliveryForm form, float crossover) {
  const std::size_t targets = weights.size() / neurons;
  SpikeArrays spikes = uploaded_spikes(backend, events, neurons);
  const auto outgoing = uploaded(backend, weights);
  const auto threshold = uploaded(backend, std::vector<float>{height});
  // What was there before must not matter, nor what an earlier batch left in the back end's own memory.
  auto currents = uploaded(backend, std::vector<float>(events.size() * targets, not_a_number));
  if (!events.empty()) {
    SpikeArrays earlier = uploaded_spikes(backend, EventLists(events.size(), everyone(neurons)), neurons);
    backend.delivery().run(Deliver{.spikes = earlier.view(),
                                   .weights = outgoing.matrix(neurons, targets),
                                   .height = threshold.view(),
                                   .dt = dt,
                                   .form = form,
                                   .crossover = crossover,
                                   .currents = currents.matrix(events.size(), targets)});
    backend.upload(std::span<const float>(std::vector<float>(currents.size(), not_a_number)),
                   currents.view());
  }
  backend.delivery().run(Deliver{.spikes = spikes.view(),
                                 .weights = outgoing.matrix(neurons, targets),
                                 .height = threshold.view(),
                                 .dt = dt,
                                 .form = form,
                                 .crossover = crossover,
                                 .currents = currents.matrix(events.size(), targets)});
  return downloaded(backend, currents);
}

}  // namespace

TEST_CASE("deliver agrees with the reference in all forms", "[conformance][delivery]") {
  // Numbers of targets around every power of two of every width of vector.
  const std::size_t target_counts[] = {1, 7, 67, 131, 259, 300};
  for (const std::size_t targets : target_counts) {
    for (const std::size_t neurons : {1U, 131U}) {
      // More positive than negative: sums that cancel would have no digits to compare.
      const std::vector<float> weights = random_values(neurons * targets, 2, -0.5F, 1.0F);
      for (const double density : {0.0, 0.05, 0.5, 1.0}) {
        EventLists events = random_events(131, neurons, density, 1);
        events[3].clear();
        events[5] = everyone(neurons);
        INFO(targets << " targets, " << neurons << " neurons, density " << density);
        check_conformance([&](Backend& backend) {
          Outcome outcome;
          for (const DeliveryForm form :
               {DeliveryForm::automatic, DeliveryForm::events, DeliveryForm::dense}) {
            outcome["form " + std::to_string(static_cast<int>(form))] =
                about(delivered(backend, events, neurons, weights, form, half), 2e-6);
          }
          return outcome;
        });
      }
    }
  }
}

TEST_CASE("deliver agrees with the reference for one row and for none", "[conformance][delivery]") {
  const std::vector<float> weights = random_values(67 * 131, 1);
  for (const std::size_t rows : {0U, 1U}) {
    for (const DeliveryForm form : {DeliveryForm::automatic, DeliveryForm::events, DeliveryForm::dense}) {
      INFO(rows << " rows, form " << static_cast<int>(form));
      check_conformance([&](Backend& backend) {
        const EventLists events = random_events(rows, 67, half, 2);
        return Outcome{{"currents", about(delivered(backend, events, 67, weights, form, half), 2e-6)}};
      });
    }
  }
}

TEST_CASE("automatic delivery is one of the two forms", "[conformance][delivery]") {
  const EventLists events = random_events(67, 131, 0.3, 1);
  const std::vector<float> weights = random_values(131 * 259, 2);
  on_each_backend([&](Backend& backend) {
    const auto form = [&](DeliveryForm delivery, float crossover) {
      return delivered(backend, events, 131, weights, delivery, crossover);
    };
    const std::vector<float> events_alone = form(DeliveryForm::events, 0.5F);
    const std::vector<float> dense = form(DeliveryForm::dense, 0.5F);
    CHECK(form(DeliveryForm::automatic, 0.9F) == events_alone);
    // Where choosing by the density costs more than it saves, there is no crossover.
    const std::vector<float> above = form(DeliveryForm::automatic, 0.1F);
    CHECK((above == dense || (backend.name() == "cuda" && above == events_alone)));
  });
}

TEST_CASE("automatic delivery turns dense above the crossover", "[conformance][delivery]") {
  // Neuron 2 is silent and its weight infinite: a dense product meets 0 · ∞, the events do not.
  const std::vector<float> weights = {1, 2, std::numeric_limits<float>::infinity(), 4};
  const EventLists events = {{0}, {1}};  // a quarter of the neurons is active
  const auto cpu = make_backend("cpu", 1);
  const auto is_dense = [&](DeliveryForm form, float crossover) {
    return std::isnan(delivered(*cpu, events, 4, weights, form, crossover)[0]);
  };
  CHECK(is_dense(DeliveryForm::dense, 1.0F));
  CHECK_FALSE(is_dense(DeliveryForm::events, 0.0F));
  CHECK(is_dense(DeliveryForm::automatic, 0.24F));
  CHECK_FALSE(is_dense(DeliveryForm::automatic, 0.25F));
}

TEST_CASE("correlate agrees with the reference", "[conformance][delivery]") {
  struct Shape {
    std::size_t rows, neurons, columns;
  };
  for (const Shape& s : {Shape{1, 1, 1}, {67, 131, 1}, {67, 131, 131}, {40, 1100, 67}, {5, 33, 35}}) {
    for (const double density : {0.0, 0.07, 0.6, 1.0}) {
      INFO(s.rows << " rows, " << s.neurons << " neurons, " << s.columns << " columns, density " << density);
      for (const float beta : {0.0F, 0.5F, 1.0F}) {
        check_conformance([&](Backend& backend) {
          SpikeArrays spikes =
              uploaded_spikes(backend, random_events(s.rows, s.neurons, density, 1), s.neurons);
          const auto b = uploaded(backend, random_values(s.rows * s.columns, 2));
          const std::size_t size = s.neurons * s.columns;
          auto c = uploaded(backend,
                            beta == 0.0F ? std::vector<float>(size, not_a_number) : random_values(size, 3));
          backend.delivery().run(Correlate{.alpha = -0.3F,
                                           .spikes = spikes.view(),
                                           .b = b.matrix(s.rows, s.columns),
                                           .beta = beta,
                                           .c = c.matrix(s.neurons, s.columns)});
          return Outcome{{"c", about(downloaded(backend, c), 2e-6)}};
        });
      }
    }
  }
}

/// Rows of `steps` steps of `batch` samples whose neurons fire at intervals of 1 to 4 steps, or not at all: few
/// different trains, as of static images.
EventLists regular_trains(std::size_t steps, std::size_t batch, std::size_t neurons, std::uint32_t seed) {
  const std::vector<float> intervals = random_values(batch * neurons, seed, 1.0F, 8.0F);
  EventLists events(steps * batch);
  for (std::size_t row = 0; row < events.size(); ++row) {
    for (std::size_t i = 0; i < neurons; ++i) {
      const auto interval = static_cast<std::size_t>(intervals[row % batch * neurons + i]);
      if (interval <= 4 && (row / batch + 1) % interval == 0)
        events[row].push_back(static_cast<std::uint32_t>(i));
    }
  }
  return events;
}

TEST_CASE("deliver and correlate agree with the reference for indexed spikes", "[conformance][delivery]") {
  struct Shape {
    std::size_t steps, batch, neurons, targets;
  };
  for (const Shape& s : {Shape{1, 3, 67, 35},
                         {6, 1, 131, 67},
                         {6, 11, 300, 131},
                         {8, 5, 67, 35},
                         {9, 5, 131, 300},
                         {23, 3, 67, 7},
                         {6, 4, 1, 1}}) {
    INFO(s.steps << " steps, " << s.batch << " samples, " << s.neurons << " neurons, " << s.targets
                 << " targets");
    const std::size_t rows = s.steps * s.batch;
    check_conformance([&](Backend& backend) {
      const auto height_one = uploaded(backend, std::vector<float>{1});
      const auto weights = uploaded(backend, random_values(s.neurons * s.targets, 2, -0.5F, 1.0F));
      const auto post = uploaded(backend, random_values(rows * s.targets, 3, -0.5F, 1.0F));
      auto sums = uploaded(backend, random_values(s.neurons * s.targets, 4));
      auto currents = backend.allocate<float>(rows * s.targets);
      SpikeIndex index = backend.make_spike_index();
      Outcome outcome;
      // The same index follows the spikes of run after run.
      for (const std::uint32_t run : {0U, 1U, 2U}) {
        SpikeArrays spikes = uploaded_spikes(backend,
                                             run == 1 ? random_events(rows, s.neurons, 0.2, run)
                                                      : regular_trains(s.steps, s.batch, s.neurons, run),
                                             s.neurons);
        Spikes indexed = spikes.view();
        index.spikes_changed(s.steps);
        indexed.index = index.key();
        for (const DeliveryForm form : {DeliveryForm::automatic, DeliveryForm::events}) {
          backend.delivery().run(Deliver{.spikes = indexed,
                                         .weights = weights.matrix(s.neurons, s.targets),
                                         .height = height_one.view(),
                                         .form = form,
                                         .crossover = half,
                                         .currents = currents.matrix(rows, s.targets)});
          outcome["currents " + std::to_string(run) + " " + std::to_string(static_cast<int>(form))] =
              about(downloaded(backend, currents), 2e-6);
        }
        backend.delivery().run(Correlate{.alpha = 0.3F,
                                         .spikes = indexed,
                                         .b = post.matrix(rows, s.targets),
                                         .beta = 0.5F,
                                         .c = sums.matrix(s.neurons, s.targets)});
        outcome["sums " + std::to_string(run)] = about(downloaded(backend, sums), 2e-6);
      }
      return outcome;
    });
  }
}

TEST_CASE("correlate adds rows to the neurons that spike", "[conformance][delivery]") {
  on_each_backend([](Backend& backend) {
    SpikeArrays spikes = uploaded_spikes(backend, {{1}, {}, {0, 1}}, 3);
    const auto b = uploaded(backend, std::vector<float>{1, 2, 4, 8, 16, 32});
    auto c = uploaded(backend, std::vector<float>{1, 1, 1, 1, 1, 1});
    backend.delivery().run(Correlate{
        .alpha = 2.0F, .spikes = spikes.view(), .b = b.matrix(3, 2), .beta = 3.0F, .c = c.matrix(3, 2)});
    CHECK(downloaded(backend, c) == std::vector<float>{35, 67, 37, 71, 3, 3});
  });
}

TEST_CASE("expand_spikes agrees with the reference", "[conformance][delivery]") {
  for (const double density : {0.0, 0.1, 1.0}) {
    check_conformance([&](Backend& backend) {
      SpikeArrays spikes = uploaded_spikes(backend, random_events(67, 301, density, 1), 301);
      auto x = uploaded(backend, std::vector<float>(67 * 301, not_a_number));
      backend.delivery().run(ExpandSpikes{.spikes = spikes.view(), .x = x.matrix(67, 301)});
      const auto threshold = uploaded(backend, std::vector<float>{height});
      auto high = uploaded(backend, std::vector<float>(67 * 301, not_a_number));
      backend.delivery().run(ExpandSpikes{
          .spikes = spikes.view(), .height = threshold.view(), .dt = dt, .x = high.matrix(67, 301)});
      return Outcome{{"x", exactly(downloaded(backend, x))}, {"high", exactly(downloaded(backend, high))}};
    });
  }
}

TEST_CASE("count_spikes agrees with the reference", "[conformance][delivery]") {
  for (const std::size_t rows : {0U, 1U, 67U, 50021U}) {
    INFO(rows << " rows");
    check_conformance([&](Backend& backend) {
      std::vector<std::uint32_t> counts(rows);
      for (std::size_t row = 0; row < rows; ++row)
        counts[row] = static_cast<std::uint32_t>(row * row % 1000003);
      const auto uploaded_counts = uploaded(backend, counts);
      // The total is larger than 32 bits and goes on from what is there.
      auto total = uploaded(backend, std::vector<std::uint64_t>{5'000'000'000});
      backend.delivery().run(CountSpikes{.counts = uploaded_counts.view(), .total = total.view()});
      return Outcome{{"total", exactly(downloaded(backend, total))}};
    });
  }
}

}  // namespace orthospike::testing
