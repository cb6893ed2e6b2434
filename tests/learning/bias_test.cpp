#include <string>
#include <vector>

#include "tests/learning/rule_network.hpp"

// Biases are compared with what weights from an input that is always 1 do.

namespace orthospike::testing {
namespace {

constexpr std::size_t steps = 6, samples = 3, inputs = 4, classes = 3;
const std::vector<std::size_t> hidden = {6, 5};

std::vector<float> weights(std::size_t sources, std::size_t targets, std::uint32_t seed) {
  const float bound = 3.0F / std::sqrt(static_cast<float>(sources));
  return random_values(sources * targets, seed, -0.6F * bound, bound);
}

std::vector<float> joined(std::vector<float> first, const std::vector<float>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

/// Input, two hidden populations and a read-out, each with biases: from a population for them, or from a last neuron of
/// the input.
struct Biased {
  bool by_population;
  float leak = 0;
  PlainNeurons neuron{};
  std::string model{};
  std::vector<std::size_t> sizes{};

  Biased(const std::string& rule, bool from_population, float leak_of_readout)
      : by_population(from_population), leak(leak_of_readout) {
    model = rule == "dsr" ? "lif_dsr" : "lif";
    neuron = {
        .steps = steps, .dt = 1, .tau = 4, .threshold = rule == "dsr" ? 0.3F : 0.8F, .firing_fraction = 0.5F};
    sizes = {inputs + (by_population ? 0 : 1), hidden[0], hidden[1], classes};
  }

  std::vector<float> biases(std::size_t target) const {
    return random_values(sizes[target], 10 + static_cast<std::uint32_t>(target), -0.2F, 0.4F);
  }

  void build(Network& network) const {
    using Kind = Population::Kind;
    std::vector<std::size_t> populations;
    const auto add = [&](const std::string& name, std::size_t size, Kind kind) {
      return network.add_population(
          {.name = name,
           .size = size,
           .kind = kind,
           .neuron = kind == Kind::spiking ? neuron.make(model, network.backend()) : nullptr,
           .leak = kind == Kind::readout ? leak : 0});
    };
    const auto project = [&](std::size_t source, std::size_t target, const std::vector<float>& values) {
      const std::size_t p =
          network.add_projection(std::to_string(network.projections().size()), source, target);
      network.backend().upload(std::span<const float>(values), network.projections()[p].weights.view());
    };
    populations.push_back(add("input", sizes[0], Kind::input));
    const std::size_t bias = by_population ? add("bias", 1, Kind::bias) : populations[0];
    for (std::size_t k = 1; k < sizes.size(); ++k) {
      populations.push_back(
          add(std::to_string(k), sizes[k], k + 1 == sizes.size() ? Kind::readout : Kind::spiking));
      const std::vector<float> own =
          weights(k == 1 ? inputs : sizes[k - 1], sizes[k], static_cast<std::uint32_t>(k));
      const bool joins = k == 1 && !by_population;
      project(populations[k - 1], populations[k], joins ? joined(own, biases(k)) : own);
      if (by_population) project(bias, populations[k], biases(k));
      if (!by_population && k > 1)
        project(bias, populations[k], joined(std::vector<float>(inputs * sizes[k]), biases(k)));
    }
  }
};

/// Images, with a last value of 1 or without it.
std::vector<float> images(bool with_one) {
  const std::vector<float> values = random_values(samples * inputs, 5, 0.0F, 1.0F);
  std::vector<float> result;
  for (std::size_t i = 0; i < samples; ++i) {
    result.insert(result.end(), values.begin() + static_cast<std::ptrdiff_t>(i * inputs),
                  values.begin() + static_cast<std::ptrdiff_t>((i + 1) * inputs));
    if (with_one) result.push_back(1);
  }
  return result;
}

const std::vector<std::string> rules_without_labels = {"dsr", "bptt", "ottt", "eprop", "stdp"};

bool has_leak(const std::string& rule) {
  return rules().entry(rule).traits(rules().entry(rule).defaults).readout_may_leak;
}

}  // namespace

TEST_CASE("biases act and learn as weights from an input that is always 1", "[bias]") {
  for (const std::string& rule : rules_without_labels) {
    for (const float leak : {0.0F, 0.5F}) {
      if (leak > 0 && !has_leak(rule)) continue;
      on_each_backend([&](Backend& backend) {
        INFO(rule << ", leak " << leak);
        const Biased biased(rule, true, leak), plain(rule, false, leak);
        RuleNetwork of_biased(backend, biased, rule), of_plain(backend, plain, rule);
        of_biased.show(images(false));
        of_plain.show(images(true));
        const std::size_t rows = of_biased.rule->has_step_losses() ? steps * samples : samples;
        const std::vector<float> errors = random_values(rows * classes, 6, -1.0F, 1.0F);
        of_biased.learn(errors);
        of_plain.learn(errors);
        CHECK(of_biased.engine->work().spikes == of_plain.engine->work().spikes);
        CHECK(of_biased.engine->work().population_spikes[3] > 0);
        check_near(of_biased.logits(), of_plain.logits());
        // Projections of the biased network: the chain's three, each followed by biases.
        const auto last_row = [&](std::size_t p, std::size_t columns) {
          const Doubles all = of_plain.gradient(p);
          return Doubles(all.end() - static_cast<std::ptrdiff_t>(columns), all.end());
        };
        check_near(of_biased.gradient(1), last_row(0, hidden[0]));
        check_near(of_biased.gradient(2), of_plain.gradient(1));
        check_near(of_biased.gradient(3), last_row(2, hidden[1]));
        check_near(of_biased.gradient(4), of_plain.gradient(3));
        check_near(of_biased.gradient(5), last_row(4, classes));
        CHECK(of_biased.gradient(3) != Doubles(hidden[1], 0.0));

        // y[t] = leak · y[t - 1] + … + bias, and the logits are its mean.
        Doubles expected(classes, 0.0);
        double kept = 0, of_logits = 0;
        for (std::size_t t = 0; t < steps; ++t) {
          kept = leak * kept + 1;
          of_logits += kept / steps;
          for (std::size_t at = 0; rows > samples && at < samples * classes; ++at)
            expected[at % classes] += kept * errors[t * samples * classes + at];
        }
        for (std::size_t at = 0; rows == samples && at < samples * classes; ++at)
          expected[at % classes] += of_logits * errors[at];
        check_near(of_biased.gradient(5), expected);
      });
    }
  }
}

}  // namespace orthospike::testing
