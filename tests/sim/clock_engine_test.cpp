#include "sim/clock_engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>
#include <vector>

#include "tests/conformance/backends.hpp"
#include "tests/plain_neurons.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t sizes[] = {13, 67, 35, 5};
constexpr float thresholds[] = {0, 0.3F, 0.25F};
constexpr std::size_t most = 6;  // samples in a batch
const PlainNeurons settings{.steps = 9, .dt = 0.1F, .tau = 1.0F, .threshold = 0.3F, .firing_fraction = 0.3F};

std::vector<float> weights(std::size_t layer) {
  const float bound = 1.5F / std::sqrt(static_cast<float>(sizes[layer]));
  return random_values(sizes[layer] * sizes[layer + 1], static_cast<std::uint32_t>(layer + 1), -bound, bound);
}

std::vector<float> inputs(std::size_t batch, std::uint32_t seed) {
  return random_values(batch * sizes[0], seed, -1.0F, 2.0F);
}

/// Input, two spiking populations and a read-out.
struct Simulation {
  explicit Simulation(Backend& b, const DeliverySettings& delivery = {}) : backend(b), network(b) {
    for (std::size_t i = 0; i < 4; ++i) {
      PlainNeurons neuron = settings;
      if (i == 1 || i == 2) neuron.threshold = thresholds[i];
      using Kind = Population::Kind;
      const Kind kind = i == 0 ? Kind::input : i == 3 ? Kind::readout : Kind::spiking;
      network.add_population({.name = std::to_string(i),
                              .size = sizes[i],
                              .kind = kind,
                              .neuron = kind == Kind::spiking ? neuron.make("lif_dsr", backend) : nullptr});
    }
    for (std::size_t i = 0; i < 3; ++i) {
      network.add_projection(std::to_string(i), i, i + 1);
      const std::vector<float> values = weights(i);
      backend.upload(std::span<const float>(values), network.projections()[i].weights.view());
    }
    engine = std::make_unique<ClockEngine>(network, settings.steps, most, delivery);
  }

  void run(const std::vector<float>& values) {
    const Matrix input = engine->input(values.size() / sizes[0]);
    backend.upload(std::span<const float>(values), input.values);
    engine->run();
  }
  std::vector<float> logits() { return backend.download(engine->logits().values); }

  Backend& backend;
  Network network;
  std::unique_ptr<ClockEngine> engine;
};

using Doubles = std::vector<double>;

/// What one spiking population does in one sample.
struct Trace {
  EventLists spikes;  ///< one list a step
  Doubles average_current, average_output, mean_output, membrane;
};

/// The whole network step by step and sample by sample: every population advances by one step before time
/// goes on.
struct PlainSimulation {
  explicit PlainSimulation(const std::vector<float>& input) {
    const double b = std::exp(-static_cast<double>(settings.dt) / settings.tau);
    double weight_sum = 0;
    for (std::size_t t = 1; t <= settings.steps; ++t) weight_sum += weight(b, t);
    for (std::size_t layer = 1; layer <= 2; ++layer) {
      const Doubles zeros(sizes[layer], 0.0);
      traces[layer] = {EventLists(settings.steps), zeros, zeros, zeros, zeros};
    }
    logits.assign(sizes[3], 0.0);

    for (std::size_t t = 1; t <= settings.steps; ++t) {
      Doubles output(input.begin(), input.end());
      for (std::size_t layer = 1; layer <= 3; ++layer) {
        const std::vector<float> w = weights(layer - 1);
        Doubles current(sizes[layer], 0.0);
        for (std::size_t i = 0; i < output.size(); ++i) {
          for (std::size_t j = 0; j < current.size(); ++j)
            current[j] += output[i] * w[i * current.size() + j];
        }
        const double share = weight(b, t) / weight_sum;
        if (layer == 3) {
          for (std::size_t j = 0; j < current.size(); ++j) logits[j] += share * current[j];
          continue;
        }
        Trace& trace = traces[layer];
        const double firing = static_cast<double>(settings.firing_fraction) * thresholds[layer];
        const double height = static_cast<double>(thresholds[layer]) / settings.dt;
        output.assign(sizes[layer], 0.0);
        for (std::size_t j = 0; j < current.size(); ++j) {
          double& u = trace.membrane[j];
          u = b * u + (1 - b) * current[j];
          margin = std::min(margin, std::abs(u - firing));
          if (u >= firing) {
            u -= thresholds[layer];
            output[j] = height;
            trace.spikes[t - 1].push_back(static_cast<std::uint32_t>(j));
          }
          trace.average_current[j] += share * current[j];
          trace.average_output[j] += share * output[j];
          trace.mean_output[j] += output[j] / static_cast<double>(settings.steps);
        }
      }
    }
  }

  static double weight(double b, std::size_t t) {
    return std::pow(b, static_cast<double>(settings.steps - t));
  }

  Trace traces[3];
  Doubles logits;
  double margin = std::numeric_limits<double>::max();  ///< nearest that a potential came to the firing level
};

/// Row `row` of a matrix.
Doubles row_of(Backend& backend, ConstMatrix matrix, std::size_t row) {
  const std::vector<float> values = backend.download(matrix.row_range(row, 1).values);
  return {values.begin(), values.end()};
}

void check_batch(Simulation& simulation, const std::vector<float>& values) {
  Backend& backend = simulation.backend;
  simulation.run(values);
  const std::size_t batch = values.size() / sizes[0];
  REQUIRE(simulation.engine->batch() == batch);
  for (std::size_t sample = 0; sample < batch; ++sample) {
    INFO("sample " << sample << " of " << batch);
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(sample * sizes[0]);
    const PlainSimulation plain({first, first + static_cast<std::ptrdiff_t>(sizes[0])});
    REQUIRE(plain.margin > 1e-6);  // or rounding would decide over spikes
    for (std::size_t layer = 1; layer <= 2; ++layer) {
      INFO("population " << layer);
      const ConstActivity activity = simulation.engine->activity(layer);
      const Trace& trace = plain.traces[layer];
      const EventLists events = downloaded_spikes(backend, activity.spikes);
      REQUIRE(events.size() == settings.steps * batch);
      for (std::size_t t = 0; t < settings.steps; ++t) CHECK(events[t * batch + sample] == trace.spikes[t]);
      CHECK(difference(trace.average_current, row_of(backend, activity.average_current, sample)) < 1e-5);
      CHECK(difference(trace.average_output, row_of(backend, activity.average_output, sample)) < 1e-5);
      CHECK(difference(trace.mean_output, row_of(backend, activity.mean_output, sample)) < 1e-5);
      CHECK(difference(trace.membrane,
                       row_of(backend, simulation.engine->state(layer, "potential"), sample)) < 1e-5);
    }
    CHECK(difference(plain.logits, row_of(backend, simulation.engine->logits(), sample)) < 1e-5);
  }
}

}  // namespace

TEST_CASE("the engine does what a plain loop over steps does", "[clock_engine]") {
  on_each_backend([](Backend& backend) {
    for (const DeliveryForm form : {DeliveryForm::events, DeliveryForm::dense, DeliveryForm::automatic}) {
      INFO("form " << static_cast<int>(form));
      Simulation simulation(backend, {.form = form, .crossover = 0.3F});
      check_batch(simulation, inputs(most, 1));
    }
  });
}

TEST_CASE("batches may be smaller than the largest and of any size in turn", "[clock_engine]") {
  on_each_backend([](Backend& backend) {
    Simulation simulation(backend);
    check_batch(simulation, inputs(most, 1));
    check_batch(simulation, inputs(1, 2));
    check_batch(simulation, inputs(4, 3));
    check_batch(simulation, inputs(most, 4));
  });
}

TEST_CASE("a sample's result does not depend on its batch", "[clock_engine]") {
  on_each_backend([](Backend& backend) {
    Simulation simulation(backend, {.form = DeliveryForm::events});
    const std::vector<float> all = inputs(most, 1);
    simulation.run(all);
    const std::vector<float> together = simulation.logits();
    for (std::size_t sample = 0; sample < most; ++sample) {
      const auto first = all.begin() + static_cast<std::ptrdiff_t>(sample * sizes[0]);
      simulation.run({first, first + static_cast<std::ptrdiff_t>(sizes[0])});
      const std::vector<float> alone = simulation.logits();
      for (std::size_t c = 0; c < sizes[3]; ++c) CHECK(alone[c] == Approx(together[sample * sizes[3] + c]));
    }
  });
}

TEST_CASE("of an input population the activity is the input", "[clock_engine]") {
  const auto backend = make_backend("cpu", 1);
  Simulation simulation(*backend);
  const std::vector<float> values = inputs(3, 1);
  simulation.run(values);
  const ConstActivity input = simulation.engine->activity(0);
  CHECK(backend->download(input.average_output.values) == values);
  CHECK(backend->download(input.mean_output.values) == values);
  CHECK(input.mean_output.rows == 3);
  CHECK(input.average_current.empty());
  CHECK(input.state.empty());
  CHECK_THROWS_WITH(simulation.engine->state(0, "potential"), "population '0' has no state 'potential'");
  CHECK_THROWS_WITH(simulation.engine->state(1, "abacus"), "population '1' has no state 'abacus'");
  CHECK(input.spikes.counts.empty());
  CHECK(simulation.engine->activity(3).spikes.counts.empty());
}

TEST_CASE("a batch of none or of too many is refused", "[clock_engine]") {
  const auto backend = make_backend("reference", 1);
  Simulation simulation(*backend);
  CHECK_NOTHROW(simulation.engine->input(1));
  CHECK_NOTHROW(simulation.engine->input(most));
  CHECK_THROWS_AS(simulation.engine->input(0), std::invalid_argument);
  CHECK_THROWS_AS(simulation.engine->input(most + 1), std::invalid_argument);
}

TEST_CASE("an incomplete network is refused", "[clock_engine]") {
  const auto backend = make_backend("reference", 1);
  Network network(*backend);
  CHECK_THROWS_AS(ClockEngine(network, settings.steps, most, {}), std::invalid_argument);
}

TEST_CASE("currents that are carried on are as those of the same projections", "[clock_engine]") {
  // Population 3 receives the image, and what population 1 sends to population 2 as well, before it is normalised there.
  const auto spikes = [](Backend& backend, bool carried) {
    Network network(backend);
    network.add_population({.name = "0", .size = 13, .kind = Population::Kind::input, .neuron = nullptr});
    for (const std::size_t k : {1U, 2U, 3U})
      network.add_population({.name = std::to_string(k),
                              .size = 20,
                              .neuron = settings.make("lif_dsr", backend),
                              .carried = carried && k == 3 ? std::optional<std::size_t>(2) : std::nullopt});
    auto normalisation = std::make_unique<Normalisation>(backend, 20, NormalisationSettings());
    backend.upload(std::span<const float>(random_values(20, 6)), normalisation->mean());
    network.populations()[2].normalisation = std::move(normalisation);
    network.add_population({.name = "4", .size = 5, .kind = Population::Kind::readout, .neuron = nullptr});
    const auto join = [&](std::size_t source, std::size_t target, std::uint32_t seed) {
      const std::size_t p = network.add_projection(fmt::format("{} {}", source, target), source, target);
      const std::vector<float> values =
          random_values(network.projections()[p].weights.size(), seed, -0.3F, 0.5F);
      backend.upload(std::span<const float>(values), network.projections()[p].weights.view());
    };
    join(0, 1, 1);
    join(1, 2, 2);
    join(2, 4, 3);
    join(0, 3, 4);
    if (!carried) join(1, 3, 2);
    join(3, 4, 5);
    ClockEngine engine(network, settings.steps, most, DeliverySettings());
    backend.upload(std::span<const float>(inputs(4, 3)), engine.input(4).values);
    engine.run();
    CHECK(engine.has_constant_currents(1));
    CHECK_FALSE(engine.has_constant_currents(3));
    return backend.download(engine.activity(3).mean_output.values);
  };
  on_each_backend([&](Backend& backend) {
    const std::vector<float> found = spikes(backend, true);
    CHECK(std::ranges::count_if(found, [](float value) { return value > 0; }) > 20);
    CHECK(found == spikes(backend, false));
  });
}

TEST_CASE("work counts spikes, synaptic operations and samples of all batches", "[clock_engine]") {
  on_each_backend([](Backend& backend) {
    Simulation simulation(backend);
    CHECK(simulation.engine->work().spikes == 0);
    CHECK(simulation.engine->work().synaptic_operations == 0);
    CHECK(simulation.engine->work().samples == 0);
    double of_first = 0, of_second = 0, samples = 0;
    for (const std::size_t batch : {most, std::size_t{2}}) {
      const std::vector<float> values = inputs(batch, 1);
      simulation.run(values);
      samples += static_cast<double>(batch);
      for (std::size_t sample = 0; sample < batch; ++sample) {
        const auto first = values.begin() + static_cast<std::ptrdiff_t>(sample * sizes[0]);
        const PlainSimulation plain({first, first + static_cast<std::ptrdiff_t>(sizes[0])});
        for (const auto& step : plain.traces[1].spikes) of_first += static_cast<double>(step.size());
        for (const auto& step : plain.traces[2].spikes) of_second += static_cast<double>(step.size());
      }
    }
    CHECK(of_first > 0);
    CHECK(of_second > 0);
    const ClockEngine::Work work = simulation.engine->work();
    CHECK(work.spikes == of_first + of_second);
    // The read-out takes one product with the average: only spikes of the first population add weights.
    CHECK(work.synaptic_operations == of_first * static_cast<double>(sizes[2]));
    CHECK(work.samples == samples);
  });
}

TEST_CASE("a network without spiking populations is one product", "[clock_engine]") {
  on_each_backend([](Backend& backend) {
    Network network(backend);
    network.add_population({.name = "in", .size = 2, .kind = Population::Kind::input, .neuron = nullptr});
    network.add_population({.name = "out", .size = 2, .kind = Population::Kind::readout, .neuron = nullptr});
    network.add_projection("all", 0, 1);
    const std::vector<float> values = {1, 2, 3, 4};
    backend.upload(std::span<const float>(values), network.projections()[0].weights.view());
    ClockEngine engine(network, settings.steps, 1, {});
    const std::vector<float> input = {10, 1};
    backend.upload(std::span<const float>(input), engine.input(1).values);
    engine.run();
    CHECK(backend.download(engine.logits().values) == std::vector<float>{13, 24});
  });
}

}  // namespace orthospike::testing
