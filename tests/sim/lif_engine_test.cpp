#include <stdexcept>

#include "tests/plain_lif.hpp"
#include "tests/sim/simulation.hpp"

namespace orthospike::testing {
namespace {

std::vector<PlainNetwork> networks_of(const std::vector<std::string>& models) {
  std::vector<PlainNetwork> all;
  for (const std::string& model : models) {
    for (const bool recurrent : {false, true}) all.push_back(network_of(model, recurrent, 0.0F));
  }
  all.push_back(network_of("lif", false, 0.5F));
  all.push_back(network_of("alif", true, 0.75F));
  all.push_back(network_of("lif", true, 0.0F));
  all.back().neuron.synapse_tau = 0.5F;
  all.push_back(network_of("lif", true, 0.25F));
  all.back().neuron.hard_reset = true;
  return all;
}

/// With all models that can run a part of the steps.
std::vector<PlainNetwork> networks() {
  return networks_of(neuron_models_with(&NeuronModel::Traits::has_weighted_averages, false));
}

std::string described(const PlainNetwork& plain) {
  return plain.model + (plain.recurrent ? ", recurrent" : "") + ", leak " + std::to_string(plain.leak) +
         ", synapse_tau " + std::to_string(plain.neuron.synapse_tau) +
         (plain.neuron.hard_reset ? ", hard reset" : "");
}

}  // namespace

TEST_CASE("networks of lif neurons do what plain loops over steps do", "[clock_engine]") {
  on_each_backend([](Backend& backend) {
    for (const PlainNetwork& plain : networks_of({"lif", "if", "alif"})) {
      INFO(described(plain));
      check_plain_loops(backend, plain, PlainLif(plain));
    }
  });
}

TEST_CASE("steps run in windows are those run at once", "[clock_engine]") {
  on_each_backend([](Backend& backend) {
    for (const PlainNetwork& plain : networks()) {
      for (const Recording& recording : {everything, Recording{}}) {
        INFO(described(plain) << ", step logits " << recording.step_logits);
        Simulation whole(backend, plain), parts(backend, plain);
        whole.engine->run(everything);
        const std::vector<float> step_logits = backend.download(whole.engine->step_logits().values);
        const std::vector<float> margins = backend.download(whole.engine->activity(2).margin.values);
        EventLists all[3];
        for (const std::size_t k : {1U, 2U})
          all[k] = downloaded_spikes(backend, whole.engine->activity(k).spikes);

        std::size_t first = 0;
        for (const std::size_t count : {4U, 1U, 1U, 3U}) {
          ClockEngine& engine = *parts.engine;
          engine.run_steps(first, count, recording);
          CHECK(engine.first_step() == first);
          CHECK(engine.step_count() == count);
          const auto part_of = [&](const std::vector<float>& values, std::size_t cols) {
            const auto begin = values.begin() + static_cast<std::ptrdiff_t>(first * batch * cols);
            return Doubles(begin, begin + static_cast<std::ptrdiff_t>(count * batch * cols));
          };
          for (const std::size_t k : {1U, 2U}) {
            const EventLists spikes = downloaded_spikes(backend, engine.activity(k).spikes);
            REQUIRE(spikes.size() == count * batch);
            for (std::size_t row = 0; row < spikes.size(); ++row)
              CHECK(spikes[row] == all[k][first * batch + row]);
          }
          CHECK(engine.activity(2).margin.empty() == !recording.margins);
          if (recording.margins) {
            const std::vector<float> part = backend.download(engine.activity(2).margin.values);
            CHECK(difference(part_of(margins, 29), {part.begin(), part.end()}) < 1e-5);
          }
          if (recording.step_logits) {
            const std::vector<float> part = backend.download(engine.step_logits().values);
            CHECK(difference(part_of(step_logits, 5), {part.begin(), part.end()}) < 1e-5);
          }
          first += count;
        }
        const std::vector<float> expected = backend.download(whole.engine->logits().values);
        const std::vector<float> logits = backend.download(parts.engine->logits().values);
        CHECK(difference({expected.begin(), expected.end()}, {logits.begin(), logits.end()}) < 1e-5);
        CHECK(parts.engine->work().samples == batch);
        CHECK(parts.engine->work().spikes == whole.engine->work().spikes);
      }
    }
  });
}

TEST_CASE("a run that holds few steps leaves the logits and means of all", "[clock_engine]") {
  on_each_backend([](Backend& backend) {
    for (const PlainNetwork& plain : networks()) {
      INFO(described(plain));
      Simulation whole(backend, plain), parts(backend, plain);
      ClockEngine few(parts.network, plain.neuron.steps, batch, DeliverySettings(), 4);
      CHECK(few.most_at_once() == 4);
      backend.copy(std::as_const(*parts.engine).activity(0).mean_output.values, few.input(batch).values);
      whole.engine->run();
      few.run();
      const auto check_same = [&](ConstMatrix expected, ConstMatrix actual) {
        const std::vector<float> a = backend.download(expected.values), b = backend.download(actual.values);
        CHECK(difference({a.begin(), a.end()}, {b.begin(), b.end()}) < 1e-5);
      };
      check_same(whole.engine->logits(), few.logits());
      for (const std::size_t k : {1U, 2U})
        check_same(whole.engine->activity(k).average_output, few.activity(k).average_output);
      CHECK(few.work().spikes == whole.engine->work().spikes);
      CHECK_THROWS_AS(few.run_steps(0, 5, {}), std::invalid_argument);
    }
  });
}

TEST_CASE("a read-out of the input leaks as any other", "[clock_engine]") {
  PlainNetwork plain{.neuron = {.steps = 4}, .sizes = {3, 2}, .leak = 0.5F};
  plain.draw_weights(1);
  const std::vector<float> input = {1.0F, -2.0F, 0.5F};
  const PlainNetwork::Run run = plain.run({input.begin(), input.end()}, PlainLif(plain));
  on_each_backend([&](Backend& backend) {
    Network network(backend);
    plain.build(network);
    ClockEngine engine(network, 4, 1, DeliverySettings());
    backend.upload(std::span<const float>(input), engine.input(1).values);
    engine.run();
    const std::vector<float> step_logits = backend.download(engine.step_logits().values);
    const std::vector<float> logits = backend.download(engine.logits().values);
    for (std::size_t j = 0; j < 2; ++j) {
      double mean = 0;
      for (std::size_t t = 0; t < 4; ++t) {
        CHECK(step_logits[2 * t + j] == Approx(run.output[t][1][j]));
        mean += run.output[t][1][j] / 4;
      }
      CHECK(logits[j] == Approx(mean));
    }
  });
}

TEST_CASE("steps beyond the last are refused", "[clock_engine]") {
  const auto backend = make_backend("reference", 1);
  const PlainNetwork plain = network_of("lif", false, 0.0F);
  Simulation simulation(*backend, plain);
  CHECK_THROWS_AS(simulation.engine->run_steps(0, 0, {}), std::invalid_argument);
  CHECK_THROWS_AS(simulation.engine->run_steps(7, 3, {}), std::invalid_argument);
  CHECK_NOTHROW(simulation.engine->run_steps(7, 2, {}));
}

TEST_CASE("a time constant shorter than a step is refused by its key", "[lif_model]") {
  const auto backend = make_backend("reference", 1);
  const PlainNeurons good{
      .steps = 2, .dt = 0.5F, .tau = 0.5F, .threshold = 1, .synapse_tau = 0.5F, .adaptation_tau = 0.5F};
  for (const std::string model : {"lif", "if", "alif"}) CHECK_NOTHROW(good.make(model, *backend));
  const auto refusal = [&](const std::string& model, float PlainNeurons::*member) {
    PlainNeurons bad = good;
    bad.*member = 0.25F;
    try {
      bad.make(model, *backend);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refusal("lif", &PlainNeurons::tau) == "neuron.tau: 0.25 is shorter than neuron.dt, 0.5");
  CHECK(refusal("lif", &PlainNeurons::synapse_tau) ==
        "neuron.synapse_tau: 0.25 is shorter than neuron.dt, 0.5");
  CHECK(refusal("alif", &PlainNeurons::adaptation_tau) ==
        "neuron.adaptation_tau: 0.25 is shorter than neuron.dt, 0.5");
  // Neurons do not refuse what they do not read.
  CHECK(refusal("if", &PlainNeurons::tau).empty());
  CHECK(refusal("lif", &PlainNeurons::adaptation_tau).empty());
}

}  // namespace orthospike::testing
