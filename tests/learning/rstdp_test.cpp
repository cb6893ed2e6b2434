#include "tests/learning/scripted_network.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t steps = 7, sources = 5, targets = 4;
constexpr float eligibility_tau = 3;

Rstdp::Settings settings_of(const Stdp::Settings& stdp, Rstdp::Modulation modulation) {
  Rstdp::Settings settings;
  static_cast<Stdp::Settings&>(settings) = stdp;
  settings.modulation = modulation;
  settings.eligibility_tau = eligibility_tau;
  return settings;
}

/// Random spikes of `batch` samples.
ScriptedNetwork network_of(Backend& backend, std::size_t batch) {
  return {backend,
          steps,
          random_values(batch * ScriptedNetwork::inputs, 1),
          random_events(steps * batch, sources, 0.4, 2),
          sources,
          random_events(steps * batch, targets, 0.4, 3),
          targets};
}

/// The class with the largest logit of each sample; its label makes the sample right.
std::vector<std::uint8_t> answers(ScriptedNetwork& net) {
  const std::vector<float> logits = net.backend.download(net.engine->logits().values);
  std::vector<std::uint8_t> largest;
  for (std::size_t b = 0; b < net.batch; ++b) largest.push_back(logits[2 * b + 1] > logits[2 * b] ? 1 : 0);
  return largest;
}

/// E ← d·E + ΔW[t] of each sample and synapse from `pre` to `post`; the gradient is -Σ_b R E / batch, with
/// R[b · targets + j].
std::vector<double> modulated(const ScriptedNetwork& net, const Stdp::Settings& stdp,
                              const std::vector<double>& modulation) {
  std::vector<double> gradient(sources * targets, 0.0);
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const auto source = static_cast<std::uint32_t>(i / targets),
               target = static_cast<std::uint32_t>(i % targets);
    for (std::size_t b = 0; b < net.batch; ++b) {
      double eligibility = 0;
      for (const double change : synapse_changes(stdp, step_length, course_of(net.pre, net.batch, b, source),
                                                 course_of(net.post, net.batch, b, target)))
        eligibility = std::exp(-step_length / eligibility_tau) * eligibility + change;
      gradient[i] -= modulation[b * targets + target] * eligibility / static_cast<double>(net.batch);
    }
  }
  return gradient;
}

}  // namespace

TEST_CASE("rewards less their mean multiply eligibilities", "[rstdp]") {
  for (const Stdp::Settings& stdp : {pairs, triplets()}) {
    on_each_backend([&](Backend& backend) {
      ScriptedNetwork net = network_of(backend, 4);
      net.make_rule<Rstdp>(settings_of(stdp, Rstdp::Modulation::reward));
      net.run({0, 0, 0, 0});
      std::vector<std::uint8_t> labels = answers(net);
      labels[2] = 1 - labels[2];  // wrong; the others are right
      net.run(labels);
      std::vector<double> reward;
      for (const double r : {0.5, 0.5, -1.5, 0.5}) reward.insert(reward.end(), targets, r);
      CHECK(difference(modulated(net, stdp, reward), net.gradient(1)) < 1e-5);
    });
  }
}

TEST_CASE("equal rewards change nothing, opposite ones change the sign", "[rstdp]") {
  on_each_backend([&](Backend& backend) {
    ScriptedNetwork net = network_of(backend, 2);
    net.make_rule<Rstdp>(settings_of(pairs, Rstdp::Modulation::reward));
    net.run({0, 0});
    const std::vector<std::uint8_t> right = answers(net);
    const std::vector<std::uint8_t> wrong = {static_cast<std::uint8_t>(1 - right[0]),
                                             static_cast<std::uint8_t>(1 - right[1])};
    const auto gradients = [&](std::uint8_t first, std::uint8_t second) {
      net.run({first, second});
      return std::vector{net.gradient(0), net.gradient(1), net.gradient(2)};
    };
    const auto first_right = gradients(right[0], wrong[1]);
    const auto second_right = gradients(wrong[0], right[1]);
    const auto both_right = gradients(right[0], right[1]);
    const auto none_right = gradients(wrong[0], wrong[1]);
    for (std::size_t p = 0; p < 3; ++p) {
      INFO("projection " << p);
      CHECK(std::ranges::all_of(both_right[p], [](double g) { return g == 0.0; }));
      CHECK(std::ranges::all_of(none_right[p], [](double g) { return g == 0.0; }));
      CHECK(std::ranges::any_of(first_right[p], [](double g) { return std::abs(g) > 0.1; }));
      std::vector<double> negative = second_right[p];
      for (double& g : negative) g = -g;
      CHECK(difference(first_right[p], negative) < 1e-6);
    }
  });
}

TEST_CASE("errors of neurons multiply eligibilities", "[rstdp]") {
  on_each_backend([&](Backend& backend) {
    ScriptedNetwork net = network_of(backend, 3);
    net.make_rule<Rstdp>(settings_of(pairs, Rstdp::Modulation::error));
    net.run({0, 1, 1});
    const std::vector<float> error = downloaded(backend, net.logit_errors);
    const std::vector<float> weights = downloaded(backend, net.network.projections()[3].weights);
    std::vector<double> modulation;
    for (std::size_t b = 0; b < 3; ++b) {
      for (std::size_t j = 0; j < targets; ++j) {
        modulation.push_back(-3.0 * (static_cast<double>(error[2 * b]) * weights[2 * j] +
                                     static_cast<double>(error[2 * b + 1]) * weights[2 * j + 1]));
      }
    }
    CHECK(difference(modulated(net, pairs, modulation), net.gradient(1)) < 1e-5);
    // The population below gets its errors from this one's: without weights between them it gets none.
    const Array<float>& between = net.network.projections()[1].weights;
    CHECK(std::ranges::any_of(net.gradient(0), [](double g) { return g != 0.0; }));
    backend.upload(std::span<const float>(std::vector<float>(between.size(), 0.0F)),
                   net.network.projections()[1].weights.view());
    net.run({0, 1, 1});
    CHECK(std::ranges::all_of(net.gradient(0), [](double g) { return g == 0.0; }));
  });
}

}  // namespace orthospike::testing
