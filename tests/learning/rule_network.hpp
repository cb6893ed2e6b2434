#pragma once

#include "learning/rules/rule.hpp"
#include "tests/learning/summed_gradient.hpp"
#include "tests/plain_network.hpp"

namespace orthospike::testing {

/// A network with a rule, driven by hand: the errors at the read-out are the test's.
struct RuleNetwork {
  /// plain: sizes of populations, neurons, and how to build them.
  template <class Plain>
  RuleNetwork(Backend& b, const Plain& plain, const Choice<Rules>& choice,
              const std::string& feedback_name = "backprop", bool past_in_traces = true)
      : backend(b), classes(plain.sizes.back()), network(b) {
    plain.build(network);
    const std::size_t steps = plain.neuron.steps, max_batch = 8;
    engine = std::make_unique<ClockEngine>(network, steps, max_batch, DeliverySettings());
    feedback = error_feedbacks().make(feedback_name, network, 2022);
    rule = choice.make(network, *feedback,
                       RuleContext{.max_batch = max_batch,
                                   .clock = {.steps = steps, .dt = plain.neuron.dt},
                                   .past_in_traces = past_in_traces});
  }
  /// A rule with its default settings.
  template <class Plain>
  RuleNetwork(Backend& b, const Plain& plain, const std::string& rule_name,
              const std::string& feedback_name = "backprop", bool past_in_traces = true)
      : RuleNetwork(b, plain, rule_of(rule_name), feedback_name, past_in_traces) {}

  static Choice<Rules> rule_of(const std::string& name) {
    Choice<Rules> choice(rules());
    choice.choose(name);
    return choice;
  }

  void show(const std::vector<float>& inputs) {
    const std::size_t batch = inputs.size() / network.populations()[0].size;
    backend.upload(std::span<const float>(inputs), engine->input(batch).values);
  }
  /// Steps first … first + count - 1 and their gradients, for errors [batch or count·batch × classes].
  void learn(std::size_t first, std::size_t count, const std::vector<float>& errors) {
    Recording recording = rule->recording();
    recording.trains_normalisation = trains_normalisation;
    engine->run_steps(first, count, recording);
    stored = uploaded(backend, errors);
    rule->backward(*engine, stored.matrix(errors.size() / classes, classes), {});
  }
  void learn(const std::vector<float>& errors) { learn(0, engine->steps(), errors); }
  Doubles logits() const {
    const std::vector<float> values = backend.download(engine->logits().values);
    return {values.begin(), values.end()};
  }
  Doubles gradient(std::size_t projection) const {
    const WeightGradient gradient = rule->weight_gradient(projection);
    return summed(backend, {gradient.trace, gradient.post});
  }

  /// The weights [source × target] through which errors come back: what is returned for errors of one target,
  /// or class, at a time.
  std::vector<float> feedback_weights(std::size_t projection) {
    const Projection& forward = network.projections()[projection];
    const std::size_t targets = feedback->is_direct() ? classes : forward.targets();
    const auto identity = [&](std::size_t size) {
      std::vector<float> values(size * size, 0.0F);
      for (std::size_t i = 0; i < size; ++i) values[i * size + i] = 1.0F;
      return uploaded(backend, values);
    };
    const Array<float> of_targets = identity(forward.targets()), of_classes = identity(classes);
    Array<float> room = backend.allocate<float>(forward.sources() * targets);
    const ConstMatrix back =
        feedback->propagate(projection, of_targets.matrix(forward.targets(), forward.targets()),
                            of_classes.matrix(classes, classes), room.view());
    REQUIRE(back.rows == targets);
    REQUIRE(back.cols == forward.sources());
    const std::vector<float> rows = backend.download(back.values);
    std::vector<float> weights(rows.size());
    for (std::size_t j = 0; j < targets; ++j) {
      for (std::size_t i = 0; i < forward.sources(); ++i)
        weights[i * targets + j] = rows[j * forward.sources() + i];
    }
    return weights;
  }

  Backend& backend;
  std::size_t classes;
  Network network;
  std::unique_ptr<ClockEngine> engine;
  std::unique_ptr<ErrorFeedback> feedback;
  std::unique_ptr<Rule> rule;
  bool trains_normalisation = false;
  Array<float> stored;  ///< errors, which gradients may refer to
};

/// What comes back through weights [source × target].
inline Doubles back_through(const std::vector<float>& weights, const Doubles& errors) {
  Doubles sums(weights.size() / errors.size(), 0.0);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    for (std::size_t j = 0; j < errors.size(); ++j) sums[i] += weights[i * errors.size() + j] * errors[j];
  }
  return sums;
}

/// Within rounding of the largest.
inline void check_near(const Doubles& actual, const Doubles& expected) {
  REQUIRE(actual.size() == expected.size());
  double largest = 1e-9;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < expected.size(); ++i)
    CHECK(std::abs(actual[i] - expected[i]) <= 2e-5 * largest);
}

}  // namespace orthospike::testing
