#include "learning/feedback/error_feedback.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "kernels/random_numbers.hpp"
#include "tests/learning/rule_network.hpp"

namespace orthospike::testing {
namespace {

PlainNetwork network_of(const std::string& model, std::uint32_t seed) {
  PlainNetwork plain{.model = model,
                     .neuron = {.steps = 5,
                                .dt = 0.25F,
                                .tau = 1.0F,
                                .threshold = model == "lif_dsr" ? 0.3F : 0.75F,
                                .firing_fraction = 0.5F,
                                .adaptation_tau = 2.0F},
                     .sizes = {6, 9, 8, 4}};
  plain.draw_weights(seed);
  return plain;
}

/// Random weights as RandomKey {seed, feedback_weights, stream} gives them.
std::vector<float> drawn(Backend& backend, std::size_t size, float bound, std::uint32_t stream) {
  Array<float> values = backend.allocate<float>(size);
  backend.random_numbers().run(FillUniform{.values = values.view(),
                                           .low = -bound,
                                           .high = bound,
                                           .key = {2022, RandomPurpose::feedback_weights, stream}});
  return downloaded(backend, values);
}

void change_weights(RuleNetwork& network, const PlainNetwork& plain) {
  for (std::size_t p = 0; p < plain.weights.size(); ++p) {
    network.backend.upload(std::span<const float>(plain.weights[p]),
                           network.network.projections()[p].weights.view());
  }
}

}  // namespace

TEST_CASE("errors come back through the weights that each feedback defines", "[error_feedback]") {
  const PlainNetwork plain = network_of("lif", 3), later = network_of("lif", 30);
  on_each_backend([&](Backend& backend) {
    for (const std::string& name : error_feedbacks().names()) {
      INFO(name);
      RuleNetwork network(backend, plain, "ottt", name);
      const bool direct = name == "direct_feedback_alignment" || name == "adaptive_broadcast";
      CHECK(network.feedback->is_direct() == direct);
      for (const PlainNetwork* now : {&plain, &later}) {
        change_weights(network, *now);
        for (const std::size_t p : {1U, 2U}) {
          INFO("projection " << p);
          const std::size_t sources = plain.sizes[p];
          const float bound = 1.0F / std::sqrt(static_cast<float>(sources));
          std::vector<float> expected = now->weights[p];
          // Of their own, whatever the forward weights become.
          if (name == "feedback_alignment")
            expected = drawn(backend, expected.size(), bound, static_cast<std::uint32_t>(p));
          if (direct) expected = drawn(backend, sources * 4, bound, static_cast<std::uint32_t>(p));
          if (name == "sign_symmetric") {
            for (float& weight : expected) weight = weight > 0 ? bound : -bound;
          }
          CHECK(network.feedback_weights(p) == expected);
        }
      }
    }
  });
}

TEST_CASE("the sign of a weight of 0 carries nothing back", "[error_feedback]") {
  PlainNetwork plain = network_of("lif", 3);
  plain.weights[2][5] = 0.0F;
  on_each_backend([&](Backend& backend) {
    RuleNetwork network(backend, plain, "ottt", "sign_symmetric");
    const std::vector<float> weights = network.feedback_weights(2);
    CHECK(weights[5] == 0.0F);
    CHECK(std::ranges::count(weights, 0.0F) == 1);
  });
}

TEST_CASE("random feedback differs between seeds and from the forward weights of the same seed",
          "[error_feedback]") {
  const auto backend = make_backend("reference", 1);
  Network network(*backend);
  network_of("lif", 3).build(network);
  network.initialise_weights(2022);
  const std::vector<float> error = {1.0F, 0.0F, 0.0F, 0.0F};
  const auto stored = uploaded(*backend, error);
  const auto back = [&](const std::string& name, std::uint64_t seed) {
    const auto feedback = error_feedbacks().make(name, network, seed);
    Array<float> room = backend->allocate<float>(8);
    const ConstMatrix result = feedback->propagate(2, stored.matrix(1, 4), stored.matrix(1, 4), room.view());
    return backend->download(result.values);
  };
  for (const std::string name : {"feedback_alignment", "direct_feedback_alignment", "adaptive_broadcast"}) {
    INFO(name);
    CHECK(back(name, 2022) == back(name, 2022));
    CHECK(back(name, 2022) != back(name, 2023));
    CHECK(back(name, 2022) != back("backprop", 2022));
  }
}

TEST_CASE("every rule of errors that travel back takes every feedback", "[error_feedback]") {
  on_each_backend([](Backend& backend) {
    for (const std::string rule : {"dsr", "bptt", "ottt", "eprop"}) {
      const PlainNetwork plain = network_of(rule == "dsr" ? "lif_dsr" : "alif", 3);
      const auto learn = [&](RuleNetwork& network) {
        network.show(random_values(3 * 6, 7, -1.0F, 2.0F));
        const std::size_t rows = network.rule->has_step_losses() ? plain.neuron.steps * 3 : 3;
        network.learn(random_values(rows * 4, 8));
      };
      RuleNetwork by_backprop(backend, plain, rule, "backprop");
      learn(by_backprop);
      for (const std::string& name : error_feedbacks().names()) {
        INFO(rule << ", " << name);
        RuleNetwork network(backend, plain, rule, name);
        learn(network);
        for (std::size_t p = 0; p < 3; ++p) {
          INFO("projection " << p);
          const Doubles gradient = network.gradient(p);
          CHECK(std::ranges::all_of(gradient, [](double element) { return std::isfinite(element); }));
          CHECK(std::ranges::any_of(gradient, [](double element) { return std::abs(element) > 1e-3; }));
          // The read-out's own gradient has nothing to do with the way back.
          CHECK((difference(by_backprop.gradient(p), gradient) < 1e-6) == (p == 2 || name == "backprop"));
        }
      }
    }
  });
}

}  // namespace orthospike::testing
