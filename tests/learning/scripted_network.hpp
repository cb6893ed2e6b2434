#pragma once

#include <cmath>

#include "kernels/delivery.hpp"
#include "kernels/traces.hpp"
#include "learning/feedback/error_feedback.hpp"
#include "learning/rules/rstdp.hpp"
#include "tests/learning/summed_gradient.hpp"
#include "tests/targets.hpp"

namespace orthospike::testing {

/// Neurons that spike as they are told, row step · batch + sample.
class ScriptedNeurons final : public NeuronModel {
 public:
  ScriptedNeurons(Backend& backend, const EventLists& events, std::size_t neurons)
      : spikes_(uploaded_spikes(backend, events, neurons)),
        height_(uploaded(backend, std::vector<float>{1})) {}

  std::span<const char* const> state_fields() const override { return {}; }
  void run(Backend& backend, std::size_t first, std::size_t count, ConstMatrix /*currents*/,
           const Activity& activity) const override {
    const Spikes to = activity.spikes;
    const std::size_t batch = to.rows / count;
    backend.copy(spikes_.counts.view().subview(first * batch, to.rows), to.counts);
    backend.copy(spikes_.indices.view().subview(first * batch * to.neurons, to.rows * to.neurons),
                 to.indices);
    auto x = backend.allocate<float>(to.rows * to.neurons);
    backend.delivery().run(ExpandSpikes{.spikes = to, .x = x.matrix(to.rows, to.neurons)});
    backend.traces().run(SumSteps{.scale = 1.0F / static_cast<float>(count),
                                  .steps = count,
                                  .x = x.matrix(to.rows, to.neurons),
                                  .sum = activity.mean_output});
  }
  SpikeHeight spike_height() const override { return {height_.view(), 1.0F}; }

 private:
  SpikeArrays spikes_;
  Array<float> height_;
};

constexpr float step_length = 0.5F;

/// Input, two scripted populations, the second one recurrent, and a read-out.
struct ScriptedNetwork {
  static constexpr std::size_t inputs = 3, classes = 2;

  ScriptedNetwork(Backend& b, std::size_t steps_, const std::vector<float>& images_, const EventLists& pre_,
                  std::size_t pre_neurons, const EventLists& post_, std::size_t post_neurons,
                  float leak = 0.0F)
      : backend(b),
        steps(steps_),
        batch(images_.size() / inputs),
        images(images_),
        pre(pre_),
        post(post_),
        network(b) {
    using Kind = Population::Kind;
    network.add_population({.name = "input", .size = inputs, .kind = Kind::input, .neuron = nullptr});
    network.add_population({.name = "pre",
                            .size = pre_neurons,
                            .kind = Kind::spiking,
                            .neuron = std::make_unique<ScriptedNeurons>(b, pre, pre_neurons)});
    network.add_population({.name = "post",
                            .size = post_neurons,
                            .kind = Kind::spiking,
                            .neuron = std::make_unique<ScriptedNeurons>(b, post, post_neurons)});
    network.add_population(
        {.name = "readout", .size = classes, .kind = Kind::readout, .neuron = nullptr, .leak = leak});
    network.add_projection("input_to_pre", 0, 1);
    network.add_projection("pre_to_post", 1, 2);
    network.add_projection("post_to_post", 2, 2);
    network.add_projection("post_to_readout", 2, 3);
    network.initialise_weights(1);
    engine = std::make_unique<ClockEngine>(network, steps, batch, DeliverySettings());
    feedback = error_feedbacks().make("backprop", network, 1);
    logit_errors = uploaded(b, random_values(batch * classes, 3));
  }

  template <class R>
  void make_rule(const typename R::Settings& settings) {
    const RuleContext context{.max_batch = batch, .clock = {.steps = steps, .dt = step_length}};
    rule = std::make_unique<R>(network, *feedback, context, settings);
  }

  /// Runs the samples with the error of the logits, [batch × classes].
  void run(const std::vector<std::uint8_t>& sample_labels) {
    backend.upload(std::span<const float>(images), engine->input(batch).values);
    engine->run(rule->recording());
    const auto targets = uploaded(backend, among_all(sample_labels, classes));
    rule->backward(*engine, std::as_const(logit_errors).matrix(batch, classes), targets.view());
  }

  /// traceᵀ · post
  std::vector<double> gradient(std::size_t projection) const {
    const WeightGradient gradient = rule->weight_gradient(projection);
    REQUIRE(gradient.trace.rows <= rule->max_rows());
    return summed(backend, {gradient.trace, gradient.post});
  }

  Backend& backend;
  std::size_t steps, batch;
  std::vector<float> images;
  EventLists pre, post;
  Network network;
  std::unique_ptr<ClockEngine> engine;
  std::unique_ptr<ErrorFeedback> feedback;
  std::unique_ptr<Rule> rule;
  Array<float> logit_errors;
};

/// What one neuron does in each step: its spikes, or the static input.
using Course = std::vector<double>;

inline Course course_of(const EventLists& events, std::size_t batch, std::size_t sample, std::uint32_t neuron,
                        std::size_t delay = 0) {
  Course course(delay, 0.0);
  for (std::size_t row = sample; row < events.size(); row += batch)
    course.push_back(std::ranges::count(events[row], neuron) > 0 ? 1.0 : 0.0);
  course.resize(events.size() / batch);
  return course;
}

/// The change in each step of the synapse between two neurons, by the definition of Pfister & Gerstner (2006)
/// spike after spike, of simultaneous ones the presynaptic first.
inline Course synapse_changes(const Stdp::Settings& s, float dt, const Course& pre, const Course& post) {
  const auto after = [&](const Course& course, std::size_t end, double tau, std::size_t now) {
    double sum = 0;
    for (std::size_t t = 0; t < end; ++t)
      sum += course[t] * std::exp(-dt * static_cast<double>(now - t) / tau);
    return sum;
  };
  const double a3_plus = s.pairing == Stdp::Pairing::triplet ? s.a3_plus : 0,
               a3_minus = s.pairing == Stdp::Pairing::triplet ? s.a3_minus : 0;
  Course change(pre.size());
  for (std::size_t t = 0; t < pre.size(); ++t) {
    change[t] =
        post[t] * after(pre, t + 1, s.tau_plus, t) * (s.a_plus + a3_plus * after(post, t, s.tau_y, t)) -
        pre[t] * after(post, t, s.tau_minus, t) * (s.a_minus + a3_minus * after(pre, t, s.tau_x, t));
  }
  return change;
}

inline const Stdp::Settings pairs{
    .tau_plus = 1.5F, .tau_minus = 2.5F, .a_plus = 0.7F, .a_minus = 0.4F, .tau_x = 9, .tau_y = 5};

inline Stdp::Settings triplets() {
  Stdp::Settings settings = pairs;
  settings.pairing = Stdp::Pairing::triplet;
  settings.a3_plus = 0.3F;
  settings.a3_minus = 0.2F;
  return settings;
}

}  // namespace orthospike::testing
