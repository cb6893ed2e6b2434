#pragma once

#include "tests/plain_network.hpp"

namespace orthospike::testing {

constexpr std::size_t batch = 5;
constexpr Recording everything{.margins = true, .step_logits = true};

/// Two spiking populations of a model.
inline PlainNetwork network_of(const std::string& model, bool recurrent, float leak) {
  PlainNetwork plain{.model = model,
                     .neuron = {.steps = 9,
                                .dt = 0.25F,
                                .tau = 1.0F,
                                .threshold = 0.75F,
                                .adaptation = 0.25F,
                                .adaptation_tau = 2.0F},
                     .sizes = {13, 37, 29, 5},
                     .recurrent = recurrent,
                     .leak = leak};
  plain.draw_weights(1);
  return plain;
}

/// The network on the clock engine, with its input.
struct Simulation {
  Simulation(Backend& backend, const PlainNetwork& plain) : network(backend) {
    plain.build(network);
    engine = std::make_unique<ClockEngine>(network, plain.neuron.steps, batch, DeliverySettings());
    backend.upload(std::span<const float>(inputs), engine->input(batch).values);
  }

  const std::vector<float> inputs = random_values(batch * 13, 7, -1.0F, 2.0F);
  Network network;
  std::unique_ptr<ClockEngine> engine;
};

/// That the clock engine does with the network what plain loops over steps do; `neuron` as PlainNetwork::run has it.
template <class Neuron>
void check_plain_loops(Backend& backend, const PlainNetwork& plain, const Neuron& neuron) {
  Simulation simulation(backend, plain);
  ClockEngine& engine = *simulation.engine;
  engine.run(everything);
  const std::size_t steps = plain.neuron.steps;
  const std::vector<float> logits = backend.download(engine.logits().values);
  const std::vector<float> step_logits = backend.download(engine.step_logits().values);
  double total = 0;
  for (std::size_t b = 0; b < batch; ++b) {
    const auto first = simulation.inputs.begin() + static_cast<std::ptrdiff_t>(13 * b);
    const PlainNetwork::Run run = plain.run({first, first + 13}, neuron);
    REQUIRE(run.nearest > 1e-6);
    Doubles mean_logits(5, 0.0);
    for (std::size_t t = 0; t < steps; ++t) {
      for (std::size_t j = 0; j < 5; ++j) {
        CHECK(step_logits[(t * batch + b) * 5 + j] == Approx(run.output[t][3][j]).margin(1e-5));
        mean_logits[j] += run.output[t][3][j] / static_cast<double>(steps);
      }
    }
    for (std::size_t j = 0; j < 5; ++j) CHECK(logits[b * 5 + j] == Approx(mean_logits[j]).margin(1e-5));
    for (const std::size_t k : {1U, 2U}) {
      const ConstActivity activity = engine.activity(k);
      const EventLists spikes = downloaded_spikes(backend, activity.spikes);
      const std::vector<float> margins = backend.download(activity.margin.values);
      const std::vector<float> means = backend.download(activity.mean_output.values);
      Doubles mean(plain.sizes[k], 0.0);
      for (std::size_t t = 0; t < steps; ++t) {
        const std::size_t row = t * batch + b;
        std::vector<std::uint32_t> expected;
        for (std::size_t i = 0; i < plain.sizes[k]; ++i) {
          if (run.output[t][k][i] == 1.0) expected.push_back(static_cast<std::uint32_t>(i));
          mean[i] += run.output[t][k][i] / static_cast<double>(steps);
          CHECK(margins[row * plain.sizes[k] + i] == Approx(run.margin[t][k][i]).margin(1e-5));
        }
        CHECK(spikes[row] == expected);
        total += static_cast<double>(expected.size());
      }
      for (std::size_t i = 0; i < mean.size(); ++i)
        CHECK(means[b * mean.size() + i] == Approx(mean[i]).margin(1e-6));
    }
  }
  CHECK(engine.work().spikes == total);
  CHECK(total > 0.1 * static_cast<double>(steps * batch * (37 + 29)));
  CHECK(total < 0.7 * static_cast<double>(steps * batch * (37 + 29)));
}

}  // namespace orthospike::testing
