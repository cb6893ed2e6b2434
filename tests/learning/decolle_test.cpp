#include "learning/rules/decolle.hpp"

#include <cmath>

#include "kernels/random_numbers.hpp"
#include "learning/trainer.hpp"
#include "tests/conformance/backends.hpp"
#include "tests/plain_neurons.hpp"
#include "tests/targets.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t steps = 6, batch = 3, inputs = 5, classes = 4;
constexpr std::size_t sizes[] = {inputs, 7, 6, classes};
constexpr std::uint64_t seed = 5;

using Rows = std::vector<double>;  // of a matrix, one after the other

/// Input, two populations, the second one recurrent, and a leaky read-out.
struct Trained {
  Trained(Backend& b, const std::string& model) : backend(b), network(b) {
    const PlainNeurons neuron{.steps = steps,
                              .dt = 1,
                              .tau = 2.5F,
                              .threshold = 0.3F,
                              .synapse_tau = 1.6F,
                              .adaptation = 0.2F,
                              .adaptation_tau = 8};
    using Kind = Population::Kind;
    network.add_population({.name = "input", .size = inputs, .kind = Kind::input, .neuron = nullptr});
    for (const std::size_t i : {1U, 2U}) {
      network.add_population({.name = std::to_string(i),
                              .size = sizes[i],
                              .kind = Kind::spiking,
                              .neuron = neuron.make(model, b)});
    }
    network.add_population(
        {.name = "readout", .size = classes, .kind = Kind::readout, .neuron = nullptr, .leak = 0.6F});
    network.add_projection("a", 0, 1);
    network.add_projection("b", 1, 2);
    network.add_projection("recurrent", 2, 2);
    network.add_projection("c", 2, 3);
    network.initialise_weights(seed);
    engine = std::make_unique<ClockEngine>(network, steps, batch, DeliverySettings());
    feedback = error_feedbacks().make("backprop", network, seed);
    Decolle::Settings settings;
    settings.slope = 3;
    rule = std::make_unique<Decolle>(network, *feedback,
                                     RuleContext{.seed = seed, .max_batch = batch, .clock = {.steps = steps}},
                                     settings);
  }

  void run(const std::vector<std::uint8_t>& sample_labels, std::size_t first = 0, std::size_t count = steps) {
    backend.upload(std::span<const float>(images), engine->input(batch).values);
    engine->run_steps(first, count, rule->recording());
    const auto targets = uploaded(backend, among_all(sample_labels, classes));
    const ConstMatrix errors = std::as_const(step_errors).matrix(steps * batch, classes);
    rule->backward(*engine, errors.row_range(first * batch, count * batch), targets.view());
  }

  /// traceᵀ · post
  Rows gradient(std::size_t projection) const {
    const WeightGradient gradient = rule->weight_gradient(projection);
    REQUIRE(gradient.trace.rows == gradient.post.rows);
    const std::vector<float> trace = backend.download(gradient.trace.values);
    const std::vector<float> post = backend.download(gradient.post.values);
    return product({trace.begin(), trace.end()}, {post.begin(), post.end()}, gradient.trace.rows);
  }
  static Rows product(const Rows& trace, const Rows& post, std::size_t rows) {
    const std::size_t sources = trace.size() / rows, targets = post.size() / rows;
    Rows sum(sources * targets, 0.0);
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t i = 0; i < sources; ++i) {
        for (std::size_t j = 0; j < targets; ++j)
          sum[i * targets + j] += trace[row * sources + i] * post[row * targets + j];
      }
    }
    return sum;
  }

  Rows spikes(std::size_t population) {
    Rows x(steps * batch * sizes[population], 0.0);
    const EventLists events = downloaded_spikes(backend, engine->activity(population).spikes);
    for (std::size_t row = 0; row < events.size(); ++row) {
      for (const std::uint32_t neuron : events[row]) x[row * sizes[population] + neuron] = 1.0;
    }
    return x;
  }

  Backend& backend;
  Network network;
  std::unique_ptr<ClockEngine> engine;
  std::unique_ptr<ErrorFeedback> feedback;
  std::unique_ptr<Rule> rule;
  std::vector<float> images = random_values(batch * inputs, 1, 0.0F, 2.0F);
  Array<float> step_errors = uploaded(backend, random_values(steps* batch* classes, 2));
};

/// Each step as Kaiser et al. (2020) write it: Q = a Q + s, P = b P + Q.
Rows presynaptic(const Rows& s, double synapse, double membrane) {
  const std::size_t size = s.size() / steps;
  Rows p(s.size(), 0.0), q(size, 0.0);
  for (std::size_t at = 0; at < s.size(); ++at) {
    q[at % size] = synapse * q[at % size] + s[at];
    p[at] = q[at % size] + (at < size ? 0.0 : membrane * p[at - size]);
  }
  return p;
}

/// Of a population: (G · (softmax(Gᵀ s) - one-hot) / (steps · batch)) · σ'(margin).
Rows local_errors(Trained& net, std::size_t population, const std::vector<std::uint8_t>& labels) {
  const std::size_t n = sizes[population];
  const float bound = 1.0F / std::sqrt(static_cast<float>(n));
  auto weights = net.backend.allocate<float>(n * classes);
  net.backend.random_numbers().run(
      FillUniform{.values = weights.view(),
                  .low = -bound,
                  .high = bound,
                  .key = {seed, RandomPurpose::feedback_weights, static_cast<std::uint32_t>(population)}});
  const std::vector<float> g = downloaded(net.backend, weights);
  const std::vector<float> margin = net.backend.download(net.engine->activity(population).margin.values);
  const Rows s = net.spikes(population);
  Rows errors(s.size(), 0.0);
  for (std::size_t row = 0; row < steps * batch; ++row) {
    double softmax[classes] = {}, sum = 0;
    for (std::size_t c = 0; c < classes; ++c) {
      for (std::size_t i = 0; i < n; ++i) softmax[c] += s[row * n + i] * g[i * classes + c];
      sum += softmax[c] = std::exp(softmax[c]);
    }
    for (std::size_t i = 0; i < n; ++i) {
      double error = 0;
      for (std::size_t c = 0; c < classes; ++c)
        error += g[i * classes + c] * (softmax[c] / sum - (labels[row % batch] == c ? 1.0 : 0.0));
      const double sigmoid = 1.0 / (1.0 + std::exp(-3.0 * margin[row * n + i]));
      errors[row * n + i] = error / (steps * batch) * 3.0 * sigmoid * (1.0 - sigmoid);
    }
  }
  return errors;
}

const std::vector<std::uint8_t> some_labels = {2, 0, 3};

}  // namespace

TEST_CASE("gradients are local errors times presynaptic traces, step by step", "[decolle]") {
  on_each_backend([](Backend& backend) {
    Trained net(backend, "lif");
    net.run(some_labels);
    const double synapse = 1 - 1 / 1.6, membrane = 1 - 1 / 2.5;
    Rows image;
    for (std::size_t t = 0; t < steps; ++t) image.insert(image.end(), net.images.begin(), net.images.end());
    const Rows first = net.spikes(1), second = net.spikes(2);
    Rows late(batch * sizes[2], 0.0);
    late.insert(late.end(), second.begin(), second.end() - static_cast<std::ptrdiff_t>(batch * sizes[2]));
    const Rows first_errors = local_errors(net, 1, some_labels),
               second_errors = local_errors(net, 2, some_labels);
    const auto expected = [&](const Rows& source, const Rows& errors) {
      return Trained::product(presynaptic(source, synapse, membrane), errors, steps * batch);
    };
    CHECK(difference(expected(image, first_errors), net.gradient(0)) < 1e-5);
    CHECK(difference(expected(first, second_errors), net.gradient(1)) < 1e-5);
    CHECK(difference(expected(late, second_errors), net.gradient(2)) < 1e-5);
  });
}

TEST_CASE("the network's read-out learns from its own errors", "[decolle]") {
  on_each_backend([](Backend& backend) {
    Trained net(backend, "lif");
    net.run(some_labels);
    // The logits of step t hold the leaky spikes of the steps before.
    const std::vector<float> errors = downloaded(backend, net.step_errors);
    const Rows leaky = presynaptic(net.spikes(2), 0.6, 0);
    CHECK(difference(Trained::product(leaky, {errors.begin(), errors.end()}, steps * batch),
                     net.gradient(3)) < 1e-5);
  });
}

TEST_CASE("without adaptation, gradients of windows add up to those of the whole", "[decolle]") {
  on_each_backend([](Backend& backend) {
    Trained whole(backend, "lif"), parts(backend, "lif");
    CHECK(parts.rule->is_online());
    CHECK_FALSE(Trained(backend, "alif").rule->is_online());
    whole.run(some_labels);
    std::vector<Rows> sums(4);
    std::size_t first = 0;
    for (const std::size_t count : {1U, 3U, 1U, 1U}) {
      parts.run(some_labels, first, count);
      for (std::size_t p = 0; p < sums.size(); ++p) {
        const Rows part = parts.gradient(p);
        sums[p].resize(part.size());
        for (std::size_t i = 0; i < part.size(); ++i) sums[p][i] += part[i];
      }
      first += count;
    }
    for (std::size_t p = 0; p < sums.size(); ++p) CHECK(difference(whole.gradient(p), sums[p]) < 1e-5);
  });
}

TEST_CASE("a population's gradient does not depend on later ones, whatever the neurons", "[decolle]") {
  on_each_backend([](Backend& backend) {
    for (const std::string& model : neuron_models_with(&NeuronModel::Traits::has_surrogate_derivative)) {
      INFO(model);
      Trained net(backend, model);
      net.run(some_labels);
      const Rows before = net.gradient(0), after = net.gradient(1);
      for (const std::size_t p : {1U, 2U, 3U}) {
        Array<float>& weights = net.network.projections()[p].weights;
        backend.upload(std::span<const float>(random_values(weights.size(), 7)), weights.view());
      }
      net.step_errors = uploaded(backend, random_values(steps * batch * classes, 8));
      net.run(some_labels);
      CHECK(same_bits(before, net.gradient(0)));
      CHECK(difference(after, net.gradient(1)) > 0.01);
      net.run({1, 1, 1});
      CHECK(difference(before, net.gradient(0)) > 0.01);
    }
  });
}

}  // namespace orthospike::testing
