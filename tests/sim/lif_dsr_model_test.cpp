#include "sim/neurons/lif_dsr_model.hpp"

#include <cmath>
#include <vector>

#include "tests/conformance/backends.hpp"
#include "tests/plain_neurons.hpp"

namespace orthospike::testing {
namespace {

const PlainNeurons published{
    .steps = 20, .dt = 0.05F, .tau = 1.0F, .threshold = 0.3F, .firing_fraction = 0.3F};

struct Result {
  EventLists spikes;  ///< one list a step
  std::vector<float> average_current, average_output, mean_output, membrane;
};

/// One sample. currents: one for each neuron, the same in every step, or one for each step and neuron.
Result run(Backend& backend, const PlainNeurons& settings, std::size_t neurons,
           const std::vector<float>& currents) {
  const std::unique_ptr<NeuronModel> made = settings.make("lif_dsr", backend);
  const NeuronModel& model = *made;
  SpikeArrays spikes{backend.allocate<std::uint32_t>(settings.steps),
                     backend.allocate<std::uint32_t>(settings.steps * neurons), settings.steps, neurons};
  Array<float> average_current = backend.allocate<float>(neurons),
               average_output = backend.allocate<float>(neurons),
               mean_output = backend.allocate<float>(neurons), membrane = backend.allocate<float>(neurons);
  const auto input = uploaded(backend, currents);
  model.run(backend, 0, settings.steps, input.matrix(currents.size() / neurons, neurons),
            {.spikes = spikes.view(),
             .average_current = average_current.matrix(1, neurons),
             .average_output = average_output.matrix(1, neurons),
             .mean_output = mean_output.matrix(1, neurons),
             .margin = {},
             .state = {membrane.matrix(1, neurons)}});
  return {downloaded_spikes(backend, spikes.view()), downloaded(backend, average_current),
          downloaded(backend, average_output), downloaded(backend, mean_output),
          downloaded(backend, membrane)};
}

PlainNeurons with_steps(std::size_t steps) {
  PlainNeurons settings = published;
  settings.steps = steps;
  return settings;
}

double decay(const PlainNeurons& settings) {
  return std::exp(-static_cast<double>(settings.dt) / settings.tau);
}

/// Σ exp(-(T-i)·dt/tau), i = 1…T
double weight_sum(const PlainNeurons& settings) {
  const double b = decay(settings);
  return (1 - std::pow(b, static_cast<double>(settings.steps))) / (1 - b);
}

/// Steps, counted from 1, in which a neuron with a constant current spikes. Between spikes the potential is
/// I + (u - I) bᵏ, so the next one comes after k = ⌈ln((I - firing)/(I - u)) / ln b⌉ steps.
std::vector<std::size_t> spike_steps(const PlainNeurons& settings, double current) {
  const double b = decay(settings);
  const double firing = static_cast<double>(settings.firing_fraction) * settings.threshold;
  std::vector<std::size_t> steps;
  std::size_t now = 0;
  double u = 0;
  while (current > firing) {
    const double exact = std::log((current - firing) / (current - u)) / std::log(b);
    // After a strong current the potential stays above the level: a spike in every step.
    const double wait = std::max(1.0, std::ceil(exact));
    if (exact > 0.5) REQUIRE(std::abs(exact - std::round(exact)) > 1e-4);  // or rounding would decide
    now += static_cast<std::size_t>(wait);
    if (now > settings.steps) break;
    steps.push_back(now);
    u = current + (u - current) * std::pow(b, wait) - settings.threshold;
  }
  return steps;
}

}  // namespace

TEST_CASE("below the firing level the potential follows the closed form", "[lif_dsr]") {
  // The published level is 0.09.
  const std::vector<float> currents = {0.089F, 0.05F, 0.0F, -0.3F, -5.0F};
  on_each_backend([&](Backend& backend) {
    for (const std::size_t steps : {1U, 2U, 5U, 20U, 200U}) {
      const PlainNeurons settings = with_steps(steps);
      const Result result = run(backend, settings, currents.size(), currents);
      for (std::size_t i = 0; i < currents.size(); ++i) {
        INFO("current " << currents[i] << " for " << steps << " steps");
        const double expected = currents[i] * (1 - std::pow(decay(settings), static_cast<double>(steps)));
        CHECK(result.membrane[i] == Approx(expected).epsilon(1e-5));
        CHECK(result.average_output[i] == 0.0F);
        CHECK(result.mean_output[i] == 0.0F);
      }
      for (const auto& step : result.spikes) CHECK(step.empty());
    }
  });
}

TEST_CASE("spikes come in the steps of the closed form", "[lif_dsr]") {
  const std::vector<float> currents = {0.0901F, 0.0913F, 0.11F, 0.23F, 0.6F, 1.6F, 3.3F, 5.2F, 7.7F, 60.1F};
  const PlainNeurons settings = with_steps(300);
  std::vector<std::vector<std::size_t>> expected;
  for (const float current : currents) expected.push_back(spike_steps(settings, current));
  CHECK(expected.front().front() > 100);
  CHECK(expected.back().size() == 300);
  on_each_backend([&](Backend& backend) {
    const Result result = run(backend, settings, currents.size(), currents);
    std::vector<std::vector<std::size_t>> actual(currents.size());
    for (std::size_t step = 0; step < settings.steps; ++step) {
      for (const std::uint32_t neuron : result.spikes[step]) actual[neuron].push_back(step + 1);
    }
    for (std::size_t i = 0; i < currents.size(); ++i) {
      INFO("current " << currents[i]);
      CHECK(actual[i] == expected[i]);
      const double height = static_cast<double>(settings.threshold) / settings.dt;
      const auto spikes = static_cast<double>(expected[i].size());
      CHECK(result.mean_output[i] == Approx(height * spikes / static_cast<double>(settings.steps)));
    }
  });
}

TEST_CASE("the average of a constant current is that current", "[lif_dsr]") {
  const std::vector<float> currents = {-3.0F, -0.1F, 0.0F, 0.07F, 1.0F, 50.0F};
  on_each_backend([&](Backend& backend) {
    for (const std::size_t steps : {1U, 20U, 300U}) {
      const Result result = run(backend, with_steps(steps), currents.size(), currents);
      for (std::size_t i = 0; i < currents.size(); ++i) {
        INFO("current " << currents[i] << " for " << steps << " steps");
        CHECK(result.average_current[i] == Approx(currents[i]).epsilon(2e-6));
      }
    }
  });
}

TEST_CASE("what comes in goes out in spikes or stays in the potential", "[lif_dsr]") {
  // Unrolled, u ← b u + (1 - b) I - threshold · spike is u[T] / Σw = (1 - b) avg(I) - dt avg(output),
  // exactly.
  const std::size_t neurons = 67;
  const std::vector<float> currents = random_values(published.steps * neurons, 1, -3.0F, 9.0F);
  on_each_backend([&](Backend& backend) {
    const Result result = run(backend, published, neurons, currents);
    for (std::size_t i = 0; i < neurons; ++i) {
      INFO("neuron " << i);
      const double in = (1 - decay(published)) * result.average_current[i];
      const double out = static_cast<double>(published.dt) * result.average_output[i];
      CHECK(in - out == Approx(result.membrane[i] / weight_sum(published)).margin(1e-6));
    }
  });
}

TEST_CASE("averages weigh late steps more", "[lif_dsr]") {
  PlainNeurons settings = published;
  settings.steps = 3;
  settings.dt = std::log(2.0F);  // a decay of 1/2: weights 1/4, 1/2, 1
  settings.threshold = 1.0F;
  settings.firing_fraction = 1.0F;
  // Spikes in step 1 or in step 3: a current of 2.5 lifts the potential to 1.25.
  const std::vector<float> currents = {2.5F, 0, 0, 0, 0, 2.5F};
  on_each_backend([&](Backend& backend) {
    const Result result = run(backend, settings, 2, currents);
    CHECK(result.spikes == EventLists{{0}, {}, {1}});
    CHECK(result.average_current[0] == Approx(2.5 * 0.25 / 1.75));
    CHECK(result.average_current[1] == Approx(2.5 / 1.75));
    CHECK(result.average_output[0] == Approx(0.25 / 1.75 / std::log(2.0)));
    CHECK(result.average_output[1] == Approx(1 / 1.75 / std::log(2.0)));
    CHECK(result.mean_output[0] == Approx(1 / 3.0 / std::log(2.0)));
    CHECK(result.mean_output[1] == Approx(1 / 3.0 / std::log(2.0)));
  });
}

TEST_CASE("over a long time the output is the clamped current over tau", "[lif_dsr]") {
  // In small steps, so that (1 - b)/dt is 1/tau. The potential after a spike and before the next spans one
  // threshold, which is worth threshold/tau of output.
  PlainNeurons settings{
      .steps = 4000, .dt = 0.005F, .tau = 2.0F, .threshold = 0.01F, .firing_fraction = 0.5F};
  const float highest = settings.threshold / settings.dt;
  const float saturation = highest * settings.tau;
  const std::vector<float> currents = {-1.0F, 0.0F, 0.1F, 0.5F, 1.3F, 2.9F, 3.9F, 1.01F * saturation, 30.0F};
  on_each_backend([&](Backend& backend) {
    const Result result = run(backend, settings, currents.size(), currents);
    for (std::size_t i = 0; i < currents.size(); ++i) {
      INFO("current " << currents[i]);
      const float expected = std::clamp(currents[i] / settings.tau, 0.0F, highest);
      const double one_spike = static_cast<double>(settings.threshold) / settings.tau;
      CHECK(std::abs(result.average_output[i] - expected) < one_spike + 2e-3 * expected);
    }
    CHECK(result.average_output.front() == 0.0F);
    CHECK(result.average_output.back() == Approx(highest));
  });
}

TEST_CASE("the model holds its settings", "[lif_dsr]") {
  const auto backend = make_backend("reference", 1);
  const PlainNeurons settings{
      .steps = 7, .dt = 0.5F, .tau = 2.0F, .threshold = 0.25F, .firing_fraction = 0.75F};
  const auto model = settings.make("lif_dsr", *backend);
  const auto& lif_dsr = dynamic_cast<const LifDsrModel&>(*model);
  CHECK(lif_dsr.constants().decay == Approx(std::exp(-0.25)));
  CHECK(lif_dsr.constants().dt == 0.5F);
  CHECK(lif_dsr.constants().tau == 2.0F);
  CHECK(lif_dsr.constants().firing_fraction == 0.75F);
  CHECK(backend->download(lif_dsr.threshold()) == std::vector<float>{0.25F});
}

}  // namespace orthospike::testing
