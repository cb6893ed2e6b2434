#include "tests/learning/scripted_network.hpp"

namespace orthospike::testing {
namespace {

/// Neuron i spikes once, in step i.
EventLists one_spike_each(std::size_t steps) {
  EventLists events(steps);
  for (std::uint32_t i = 0; i < steps; ++i) events[i] = {i};
  return events;
}

}  // namespace

TEST_CASE("one spike on each side changes a weight by the window at their lag", "[stdp]") {
  constexpr std::size_t steps = 9;
  on_each_backend([](Backend& backend) {
    ScriptedNetwork net(backend, steps, {1, 1, 1}, one_spike_each(steps), steps, one_spike_each(steps),
                        steps);
    net.make_rule<Stdp>(pairs);
    net.run({0});
    const std::vector<double> gradient = net.gradient(1);
    for (std::size_t before = 0; before < steps; ++before) {
      for (std::size_t after = 0; after < steps; ++after) {
        INFO("presynaptic spike in step " << before << ", postsynaptic in step " << after);
        const double lag = static_cast<double>(after) - static_cast<double>(before);
        const double window = lag >= 0 ? 0.7 * std::exp(-0.5 * lag / 1.5) : -0.4 * std::exp(0.5 * lag / 2.5);
        CHECK(gradient[before * steps + after] == Approx(-window).margin(1e-6));
      }
    }
  });
}

TEST_CASE("triplets change a weight by what the second spike left", "[stdp]") {
  on_each_backend([](Backend& backend) {
    const double plus = std::exp(-0.5 / 1.5), minus = std::exp(-0.5 / 2.5);
    const double x = std::exp(-0.5 / 9), y = std::exp(-0.5 / 5);
    SECTION("post, pre, post") {
      ScriptedNetwork net(backend, 6, {1, 1, 1}, {{}, {}, {0}, {}, {}, {}}, 1, {{0}, {}, {}, {}, {}, {0}}, 1);
      net.make_rule<Stdp>(triplets());
      net.run({0});
      const double change = std::pow(plus, 3) * (0.7 + 0.3 * std::pow(y, 5)) - 0.4 * std::pow(minus, 2);
      CHECK(net.gradient(1)[0] == Approx(-change));
    }
    SECTION("pre, post, pre") {
      ScriptedNetwork net(backend, 6, {1, 1, 1}, {{}, {0}, {}, {}, {0}, {}}, 1, {{}, {}, {}, {0}, {}, {}}, 1);
      net.make_rule<Stdp>(triplets());
      net.run({0});
      const double change = std::pow(plus, 2) * 0.7 - minus * (0.4 + 0.2 * std::pow(x, 3));
      CHECK(net.gradient(1)[0] == Approx(-change));
    }
  });
}

TEST_CASE("every projection changes as its spikes one by one say, mean over the batch", "[stdp]") {
  constexpr std::size_t steps = 7, batch = 3, sources = 5, targets = 4;
  const std::vector<float> images = random_values(batch * ScriptedNetwork::inputs, 1);
  const EventLists pre = random_events(steps * batch, sources, 0.4, 2);
  const EventLists post = random_events(steps * batch, targets, 0.4, 3);
  for (const Stdp::Settings& stdp : {pairs, triplets()}) {
    INFO((stdp.pairing == Stdp::Pairing::triplet ? "triplets" : "pairs"));
    const auto expected = [&](std::size_t rows, std::size_t cols, const auto& source, const auto& target) {
      std::vector<double> gradient(rows * cols, 0.0);
      for (std::size_t i = 0; i < gradient.size(); ++i) {
        for (std::size_t b = 0; b < batch; ++b) {
          for (const double change :
               synapse_changes(stdp, step_length, source(b, i / cols), target(b, i % cols)))
            gradient[i] -= change / batch;
        }
      }
      return gradient;
    };
    const auto neuron = [&](const EventLists& events, std::size_t delay = 0) {
      return [&, delay](std::size_t b, std::size_t i) {
        return course_of(events, batch, b, static_cast<std::uint32_t>(i), delay);
      };
    };
    const auto pixel = [&](std::size_t b, std::size_t i) {
      return Course(steps, images[b * ScriptedNetwork::inputs + i]);
    };
    on_each_backend([&](Backend& backend) {
      ScriptedNetwork net(backend, steps, images, pre, sources, post, targets);
      net.make_rule<Stdp>(stdp);
      net.run({0, 1, 0});
      net.run({0, 1, 0});  // nothing is left of the first batch
      CHECK(difference(expected(ScriptedNetwork::inputs, sources, pixel, neuron(pre)), net.gradient(0)) <
            1e-5);
      CHECK(difference(expected(sources, targets, neuron(pre), neuron(post)), net.gradient(1)) < 1e-5);
      CHECK(difference(expected(targets, targets, neuron(post, 1), neuron(post)), net.gradient(2)) < 1e-5);
      CHECK(net.rule->weight_gradient(0).trace.rows ==
            (stdp.pairing == Stdp::Pairing::triplet ? 2 : 1) * batch);
      CHECK(net.rule->weight_gradient(1).trace.rows == 2 * steps * batch);
    });
  }
}

TEST_CASE("subspaces learn from the spikes that arrive", "[stdp]") {
  const auto backend = make_backend("cpu", 1);
  const EventLists spikes = {{0}, {}, {0, 1}};
  ScriptedNetwork net(*backend, 3, {1, 2, 3}, spikes, 2, spikes, 2);
  net.make_rule<Stdp>(triplets());
  net.run({0});
  const auto activity = [&](std::size_t projection) {
    return backend->download(net.rule->weight_gradient(projection).activity.values);
  };
  CHECK(activity(0) == std::vector<float>{1, 2, 3});
  CHECK(activity(1) == std::vector<float>{1, 0, 0, 0, 1, 1});
  CHECK(activity(2) == std::vector<float>{0, 0, 1, 0, 0, 0});
}

TEST_CASE("the read-out's gradient is that of the loss by its weights, leaky or not", "[stdp]") {
  constexpr std::size_t steps = 7, batch = 3, neurons = 4, classes = ScriptedNetwork::classes;
  const EventLists spikes = random_events(steps * batch, neurons, 0.4, 2);
  for (const float leak : {0.0F, 0.8F}) {
    INFO("leak " << leak);
    on_each_backend([&](Backend& backend) {
      ScriptedNetwork net(backend, steps, random_values(batch * ScriptedNetwork::inputs, 1), spikes, neurons,
                          spikes, neurons, leak);
      net.make_rule<Stdp>(pairs);
      net.run({0, 1, 0});
      const std::vector<float> error = downloaded(backend, net.logit_errors);
      std::vector<double> expected(neurons * classes, 0.0);
      for (std::uint32_t i = 0; i < neurons; ++i) {
        for (std::size_t b = 0; b < batch; ++b) {
          double readout = 0, mean = 0;
          for (const double spike : course_of(spikes, batch, b, i)) {
            readout = static_cast<double>(leak) * readout + spike;
            mean += readout / steps;
          }
          for (std::size_t c = 0; c < classes; ++c)
            expected[i * classes + c] += mean * error[b * classes + c];
        }
      }
      CHECK(difference(expected, net.gradient(3)) < 1e-5);
    });
  }
}

}  // namespace orthospike::testing
