#include <algorithm>
#include <string>
#include <vector>

#include "tests/learning/rule_network.hpp"

// A population that several projections reach, or leave, is compared with a network in which each has one.

namespace orthospike::testing {
namespace {

constexpr std::size_t steps = 6, samples = 3;

struct Edge {
  std::size_t source, target;
  std::vector<float> weights;  ///< [source × target]
};

/// Populations joined by edges; the first is the input, the last the read-out.
struct Wiring {
  std::string model;
  PlainNeurons neuron;
  float leak = 0;
  std::vector<std::size_t> sizes;
  std::vector<Edge> edges;

  void build(Network& network) const {
    add_populations(network, sizes, model, neuron, leak);
    for (const auto& [source, target, weights] : edges) {
      const std::size_t p =
          network.add_projection(std::to_string(network.projections().size()), source, target);
      network.backend().upload(std::span<const float>(weights), network.projections()[p].weights.view());
    }
  }
};

/// Those of a matrix with so many columns.
std::vector<float> block(const std::vector<float>& matrix, std::size_t columns, std::size_t first_row,
                         std::size_t rows, std::size_t first_column, std::size_t width) {
  std::vector<float> values;
  for (std::size_t i = first_row; i < first_row + rows; ++i) {
    for (std::size_t j = first_column; j < first_column + width; ++j)
      values.push_back(matrix[i * columns + j]);
  }
  return values;
}

std::vector<float> weights(std::size_t sources, std::size_t targets, std::uint32_t seed) {
  const float bound = 3.0F / std::sqrt(static_cast<float>(sources));
  return random_values(sources * targets, seed, -0.6F * bound, bound);
}

/// A model that a rule trains, with neurons that spike now and then, and a read-out that leaks where the rule has it.
Wiring wiring(const std::string& rule) {
  Wiring result;
  result.model = rule == "dsr" ? "lif_dsr" : "lif";
  const float threshold = rule == "dsr" ? 0.3F : 0.8F;
  result.neuron = {.steps = steps, .dt = 1, .tau = 4, .threshold = threshold, .firing_fraction = 0.5F};
  return result;
}

void learn(RuleNetwork& network, std::size_t inputs) {
  network.show(random_values(samples * inputs, 5, 0.0F, 1.0F));
  const std::size_t rows = network.rule->has_step_losses() ? steps * samples : samples;
  network.learn(random_values(rows * network.classes, 6, -1.0F, 1.0F));
}

Doubles sum(Doubles a, const Doubles& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

/// Those that need no labels; of decolle, errors come from weights of its own.
const std::vector<std::string> rules_by_errors = {"dsr", "bptt", "ottt", "eprop"};
const std::vector<std::string> rules_without_labels = {"dsr", "bptt", "ottt", "eprop", "stdp"};

}  // namespace

TEST_CASE("populations cut in two are as whole ones, under each rule", "[several_projections]") {
  // 4 inputs, 7 and 5 neurons, 3 logits; the populations are cut into 3 + 4 and 2 + 3.
  const std::vector<float> first = weights(4, 7, 1), second = weights(7, 5, 2), last = weights(5, 3, 3);
  for (const std::string& rule : rules_without_labels) {
    on_each_backend([&](Backend& backend) {
      INFO(rule);
      Wiring whole = wiring(rule), cut = wiring(rule);
      whole.sizes = {4, 7, 5, 3};
      whole.edges = {{0, 1, first}, {1, 2, second}, {2, 3, last}};
      cut.sizes = {4, 3, 4, 2, 3, 3};
      cut.edges = {{0, 1, block(first, 7, 0, 4, 0, 3)},  {0, 2, block(first, 7, 0, 4, 3, 4)},
                   {1, 3, block(second, 5, 0, 3, 0, 2)}, {2, 3, block(second, 5, 3, 4, 0, 2)},
                   {1, 4, block(second, 5, 0, 3, 2, 3)}, {2, 4, block(second, 5, 3, 4, 2, 3)},
                   {3, 5, block(last, 3, 0, 2, 0, 3)},   {4, 5, block(last, 3, 2, 3, 0, 3)}};
      RuleNetwork of_whole(backend, whole, rule), of_cut(backend, cut, rule);
      learn(of_whole, 4);
      learn(of_cut, 4);
      CHECK(of_whole.engine->work().population_spikes[2] > 0);
      CHECK(of_whole.engine->work().population_spikes[2] < steps * samples * 5);
      CHECK(of_cut.engine->work().spikes == of_whole.engine->work().spikes);
      CHECK(of_cut.engine->work().synaptic_operations == of_whole.engine->work().synaptic_operations);
      check_near(of_cut.logits(), of_whole.logits());
      const auto gradient_block = [&](std::size_t p, std::size_t columns, auto... range) {
        const Doubles all = of_whole.gradient(p);
        const std::vector<float> values = block({all.begin(), all.end()}, columns, range...);
        return Doubles(values.begin(), values.end());
      };
      CHECK(std::ranges::any_of(of_whole.gradient(0), [](double value) { return value != 0; }));
      check_near(of_cut.gradient(0), gradient_block(0, 7, 0, 4, 0, 3));
      check_near(of_cut.gradient(1), gradient_block(0, 7, 0, 4, 3, 4));
      check_near(of_cut.gradient(2), gradient_block(1, 5, 0, 3, 0, 2));
      check_near(of_cut.gradient(5), gradient_block(1, 5, 3, 4, 2, 3));
      check_near(of_cut.gradient(6), gradient_block(2, 3, 0, 2, 0, 3));
      check_near(of_cut.gradient(7), gradient_block(2, 3, 2, 3, 0, 3));
    });
  }
}

TEST_CASE("errors that come back from the read-out and from a population add up", "[several_projections]") {
  const std::vector<float> first = weights(4, 6, 1), second = weights(6, 5, 2), past = weights(6, 3, 3),
                           last = weights(5, 3, 4);
  for (const std::string& rule : rules_by_errors) {
    for (const float leak : {0.0F, 0.5F}) {
      if (leak > 0 && !rules().entry(rule).traits(rules().entry(rule).defaults).readout_may_leak) continue;
      on_each_backend([&](Backend& backend) {
        INFO(rule << ", leak " << leak);
        Wiring one = wiring(rule), two = wiring(rule);
        one.leak = two.leak = leak;
        one.sizes = {4, 6, 5, 3};
        one.edges = {{0, 1, first}, {1, 2, second}, {1, 3, past}, {2, 3, last}};
        // Its twin alone leads to the read-out.
        two.sizes = {4, 6, 6, 5, 3};
        two.edges = {{0, 1, first}, {0, 2, first}, {1, 3, second}, {2, 4, past}, {3, 4, last}};
        RuleNetwork of_one(backend, one, rule), of_two(backend, two, rule);
        learn(of_one, 4);
        learn(of_two, 4);
        check_near(of_one.gradient(0), sum(of_two.gradient(0), of_two.gradient(1)));
        check_near(of_one.gradient(1), of_two.gradient(2));
        check_near(of_one.gradient(2), of_two.gradient(3));
        check_near(of_one.gradient(3), of_two.gradient(4));
        // In other orders: the read-out first, and last.
        const auto in_order = [&](std::vector<std::size_t> order) {
          Wiring its = one;
          for (std::size_t p = 0; p < order.size(); ++p) its.edges[p] = one.edges[order[p]];
          RuleNetwork network(backend, its, rule);
          learn(network, 4);
          for (std::size_t p = 0; p < order.size(); ++p)
            check_near(network.gradient(p), of_one.gradient(order[p]));
        };
        in_order({0, 2, 1, 3});
        in_order({0, 1, 3, 2});
      });
    }
  }
}

TEST_CASE("errors straight from the read-out count once, however many projections there are",
          "[several_projections]") {
  const std::vector<float> first = weights(4, 6, 1), second = weights(6, 5, 2), past = weights(6, 3, 3),
                           last = weights(5, 3, 4);
  for (const std::string rule : {"dsr", "ottt"}) {
    for (const std::string feedback : {"direct_feedback_alignment", "adaptive_broadcast"}) {
      on_each_backend([&](Backend& backend) {
        INFO(rule << ", " << feedback);
        Wiring chain = wiring(rule), more = wiring(rule);
        chain.sizes = more.sizes = {4, 6, 5, 3};
        chain.edges = {{0, 1, first}, {1, 2, second}, {2, 3, last}};
        more.edges = {{0, 1, first}, {1, 2, second}, {1, 3, past}, {2, 3, last}};
        RuleNetwork of_chain(backend, chain, rule, feedback), of_more(backend, more, rule, feedback);
        learn(of_chain, 4);
        learn(of_more, 4);
        check_near(of_more.gradient(0), of_chain.gradient(0));
        // Weights that learn are each population's own, and learn once.
        std::size_t learned = 0;
        for (std::size_t p = 0; p < more.edges.size(); ++p)
          learned += !of_more.feedback->learned_weights(p).empty();
        CHECK(learned == (feedback == "adaptive_broadcast" ? 2 : 0));
      });
    }
  }
}

TEST_CASE("errors straight from the read-out are the same however far it is", "[several_projections]") {
  const std::vector<float> first = weights(4, 6, 1), second = weights(6, 5, 2), last = weights(5, 3, 4);
  for (const std::string& rule : rules_by_errors) {
    on_each_backend([&](Backend& backend) {
      INFO(rule);
      Wiring far = wiring(rule), near = wiring(rule);
      far.sizes = {4, 6, 5, 3};
      far.edges = {{0, 1, first}, {1, 2, second}, {2, 3, last}};
      near.sizes = {4, 6, 3};
      near.edges = {{0, 1, first}, {1, 2, weights(6, 3, 3)}};
      RuleNetwork of_far(backend, far, rule, "direct_feedback_alignment"),
          of_near(backend, near, rule, "direct_feedback_alignment");
      learn(of_far, 4);
      learn(of_near, 4);
      CHECK(of_far.gradient(0) != Doubles(24, 0.0));
      check_near(of_far.gradient(0), of_near.gradient(0));
    });
  }
}

TEST_CASE("an input beside spikes reaches populations and the read-out in every step",
          "[several_projections]") {
  const std::vector<float> first = weights(4, 6, 1), second = weights(6, 5, 2), past = weights(4, 5, 3),
                           last = weights(5, 3, 4), shortcut = weights(4, 3, 5);
  const std::vector<float> input = random_values(samples * 4, 6, 0.0F, 1.0F);
  for (const std::string model : {"lif", "lif_dsr"}) {
    on_each_backend([&](Backend& backend) {
      INFO(model);
      const auto run = [&](std::vector<Edge> edges, bool step_logits) {
        Wiring its = wiring(model == "lif" ? "ottt" : "dsr");
        its.sizes = {4, 6, 5, 3};
        its.edges = std::move(edges);
        RuleNetwork network(backend, its, model == "lif" ? "ottt" : "dsr");
        network.show(input);
        network.engine->run({.step_logits = step_logits, .currents = true});
        return std::pair(backend.download(network.engine->activity(2).current.values),
                         backend.download(network.engine->logits().values));
      };
      /// What the input brings through weights to a neuron of a row.
      const auto brought = [&](const std::vector<float>& through, std::size_t sample, std::size_t j) {
        double sum = 0;
        for (std::size_t i = 0; i < 4; ++i)
          sum += input[sample * 4 + i] * through[i * through.size() / 4 + j];
        return sum;
      };
      const auto [currents, logits] = run({{0, 1, first}, {1, 2, second}, {2, 3, last}}, false);
      const auto more = run({{0, 1, first}, {0, 2, past}, {1, 2, second}, {2, 3, last}}, false).first;
      // Also where it comes before the projection that the spikes depend on.
      CHECK(run({{0, 2, past}, {0, 1, first}, {1, 2, second}, {2, 3, last}}, false).first == more);
      REQUIRE(more.size() == steps * samples * 5);
      for (std::size_t at = 0; at < more.size(); ++at)
        CHECK(more[at] == Approx(currents[at] + brought(past, at / 5 % samples, at % 5)).margin(1e-5));
      for (const bool step_logits : {false, true}) {
        if (step_logits && model == "lif_dsr")
          continue;  // whose logits are another average than that of the steps
        const auto changed =
            run({{0, 1, first}, {1, 2, second}, {2, 3, last}, {0, 3, shortcut}}, step_logits).second;
        for (std::size_t at = 0; at < changed.size(); ++at)
          CHECK(changed[at] == Approx(logits[at] + brought(shortcut, at / 3, at % 3)).margin(1e-5));
      }
    });
  }
}

}  // namespace orthospike::testing
