#include <string>
#include <vector>

#include "sim/connections/channel_bias.hpp"
#include "sim/connections/convolution.hpp"
#include "sim/connections/dense.hpp"
#include "tests/learning/rule_network.hpp"

// A network of convolutions and pooling is compared with the dense one that does the same.

namespace orthospike::testing {
namespace {

constexpr std::size_t steps = 6, samples = 3, classes = 3;

struct Edge {
  std::size_t source, target;
  std::unique_ptr<Connection> connection;
};

/// 6 × 6 pixels, 4 channels of 6 × 6, pooled to 3 × 3, 4 channels of 2 × 2 with stride 2, perhaps in groups, and biases,
/// pooled to one pixel. Population 1 is that of the biases.
std::vector<Edge> edges(std::size_t groups) {
  std::vector<Edge> result;
  result.push_back({0, 2, std::make_unique<Convolution>(Window{{6, 6, 1}, 3, 1, 1}, 4)});
  result.push_back({2, 3, std::make_unique<Convolution>(Window{{3, 3, 4}, 3, 2, 1, groups}, 4, 2)});
  result.push_back({1, 3, std::make_unique<ChannelBias>(4, 4)});
  result.push_back({3, 4, std::make_unique<Convolution>(Window{{1, 1, 4}, 1}, classes, 2)});
  return result;
}

std::vector<float> weights_of(const Connection& connection, std::uint32_t seed) {
  const float bound = 3.0F / std::sqrt(static_cast<float>(connection.presynaptic()));
  return random_values(connection.presynaptic() * connection.outputs(), seed, -0.5F * bound, bound);
}

/// The weights [sources × targets] of the dense projection that does the same.
std::vector<float> dense(Backend& backend, const Connection& connection, const std::vector<float>& weights) {
  const std::size_t n = connection.sources();
  std::vector<float> identity(n * n, 0.0F);
  for (std::size_t i = 0; i < n; ++i) identity[i * n + i] = 1;
  const Array<float> values = uploaded(backend, identity), own = uploaded(backend, weights);
  Array<float> currents = backend.allocate<float>(n * connection.targets());
  connection.deliver(backend, own.matrix(connection.presynaptic(), connection.outputs()), values.matrix(n, n),
                     currents.matrix(n, connection.targets()));
  return downloaded(backend, currents);
}

struct Maps {
  std::size_t groups;
  bool is_dense;
  PlainNeurons neuron;
  std::string model;
  float leak;
  std::vector<std::size_t> sizes = {36, 1, 144, 16, classes};

  Maps(const std::string& rule, std::size_t of_second, bool unfolded, float readout_leak)
      : groups(of_second),
        is_dense(unfolded),
        neuron{.steps = steps,
               .dt = 1,
               .tau = 4,
               .threshold = rule == "dsr" ? 0.3F : 0.8F,
               .firing_fraction = 0.5F},
        model(rule == "dsr" ? "lif_dsr" : "lif"),
        leak(readout_leak) {}

  void build(Network& network) const {
    using Kind = Population::Kind;
    const std::vector<Kind> kinds = {Kind::input, Kind::bias, Kind::spiking, Kind::spiking, Kind::readout};
    for (std::size_t i = 0; i < kinds.size(); ++i)
      network.add_population(
          {.name = std::to_string(i),
           .size = sizes[i],
           .kind = kinds[i],
           .neuron = kinds[i] == Kind::spiking ? neuron.make(model, network.backend()) : nullptr,
           .leak = kinds[i] == Kind::readout ? leak : 0});
    for (auto& [source, target, connection] : edges(groups)) {
      const std::size_t p = network.projections().size();
      std::vector<float> weights = weights_of(*connection, static_cast<std::uint32_t>(p + 1));
      if (is_dense) weights = dense(network.backend(), *connection, weights);
      if (is_dense) connection = std::make_unique<Dense>(connection->sources(), connection->targets());
      network.add_projection(std::to_string(p), source, target, std::move(connection));
      network.backend().upload(std::span<const float>(weights), network.projections()[p].weights.view());
    }
  }
};

/// By the weights of the connection, from that by those of the dense one: a sum over all that are the same weight.
Doubles gathered(Backend& backend, const Connection& connection, const Doubles& gradient) {
  Doubles result;
  std::vector<float> one(connection.presynaptic() * connection.outputs(), 0.0F);
  for (float& weight : one) {
    weight = 1;
    const std::vector<float> places = dense(backend, connection, one);
    weight = 0;
    double sum = 0;
    for (std::size_t i = 0; i < places.size(); ++i) sum += places[i] * gradient[i];
    result.push_back(sum);
  }
  return result;
}

}  // namespace

TEST_CASE("convolutions learn as the dense projections that they are", "[convolution]") {
  for (const std::string rule : {"dsr", "bptt", "ottt", "eprop", "stdp"}) {
    for (const auto& [groups, leak] : std::vector<std::pair<std::size_t, float>>{{1, 0}, {1, 0.5F}, {2, 0}}) {
      if (leak > 0 && rule == "dsr") continue;
      on_each_backend([&](Backend& backend) {
        INFO(rule << ", leak " << leak << ", groups " << groups);
        RuleNetwork maps(backend, Maps(rule, groups, false, leak), rule),
            plain(backend, Maps(rule, groups, true, leak), rule);
        const std::size_t rows = maps.rule->has_step_losses() ? steps * samples : samples;
        const std::vector<float> errors = random_values(rows * classes, 6, -1.0F, 1.0F);
        for (RuleNetwork* network : {&maps, &plain}) {
          network->show(random_values(samples * 36, 5, 0.0F, 1.0F));
          network->learn(errors);
        }
        const ClockEngine::Work work = maps.engine->work();
        CHECK(work.spikes == plain.engine->work().spikes);
        CHECK(work.population_spikes[3] > 0);
        CHECK(work.population_spikes[3] < steps * samples * 16);
        check_near(maps.logits(), plain.logits());
        for (std::size_t p = 0; p < maps.network.projections().size(); ++p) {
          const Connection& connection = *maps.network.projections()[p].connection;
          const WeightGradient found = maps.rule->weight_gradient(p);
          const Doubles gradient = summed(backend, connection.pairs(backend, found.trace, found.post));
          CHECK(gradient != Doubles(gradient.size(), 0.0));
          check_near(gradient, gathered(backend, connection, plain.gradient(p)));
        }
      });
    }
  }
}

}  // namespace orthospike::testing
