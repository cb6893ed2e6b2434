#include "learning/rules/dsr.hpp"

#include <map>
#include <string>
#include <vector>

#include "kernels/loss.hpp"
#include "learning/feedback/backprop.hpp"
#include "tests/conformance/backends.hpp"
#include "tests/golden/golden.hpp"
#include "tests/learning/summed_gradient.hpp"
#include "tests/plain_neurons.hpp"
#include "tests/targets.hpp"

namespace orthospike::testing {
namespace {

struct Trained {
  Trained(Backend& b, const std::map<std::string, GoldenArray>& arrays)
      : backend(b), golden(arrays), network(b) {
    const std::vector<double>& constants = golden.at("constants").values;
    PlainNeurons neuron{.steps = static_cast<std::size_t>(constants[0]),
                        .dt = static_cast<float>(constants[1]),
                        .tau = static_cast<float>(constants[2]),
                        .threshold = 0,
                        .firing_fraction = static_cast<float>(constants[3])};
    const std::vector<float> thresholds = golden.at("thresholds").floats();
    network.add_population({.name = "input",
                            .size = golden.at("inputs").cols,
                            .kind = Population::Kind::input,
                            .neuron = nullptr});
    for (std::size_t p = 0; p < 3; ++p) {
      const GoldenArray& weights = golden.at("weights" + std::to_string(p));
      const bool spiking = p < 2;
      if (spiking) neuron.threshold = thresholds[p];
      network.add_population({.name = std::to_string(p + 1),
                              .size = weights.cols,
                              .kind = spiking ? Population::Kind::spiking : Population::Kind::readout,
                              .neuron = spiking ? neuron.make("lif_dsr", backend) : nullptr});
      network.add_projection(std::to_string(p), p, p + 1);
      const std::vector<float> values = weights.floats();
      backend.upload(std::span<const float>(values), network.projections()[p].weights.view());
    }
    engine = std::make_unique<ClockEngine>(network, neuron.steps, max_batch, DeliverySettings());
    feedback = std::make_unique<Backprop>(network);
    rule = std::make_unique<Dsr>(network, *feedback, RuleContext{.max_batch = max_batch});
  }

  /// Forward, loss and backward for `samples`, numbers of golden inputs.
  void run(const std::vector<std::uint32_t>& samples) {
    const GoldenArray& inputs = golden.at("inputs");
    std::vector<float> rows;
    for (const std::uint32_t sample : samples) {
      const auto first = inputs.values.begin() + static_cast<std::ptrdiff_t>(sample * inputs.cols);
      rows.insert(rows.end(), first, first + static_cast<std::ptrdiff_t>(inputs.cols));
    }
    backend.upload(std::span<const float>(rows), engine->input(samples.size()).values);
    engine->run();
    const std::vector<double>& all_labels = golden.at("labels").values;
    const ConstMatrix logits = engine->logits();
    std::vector<double> sought;
    for (const std::uint32_t sample : samples) sought.push_back(all_labels[sample]);
    const auto targets = uploaded(backend, among_all(sought, logits.cols));
    logit_gradient = backend.allocate<float>(logits.rows * logits.cols);
    loss = backend.allocate<double>(1);
    Array<std::uint32_t> correct = backend.allocate<std::uint32_t>(1);
    backend.loss().run(CrossEntropy{.logits = logits,
                                    .targets = targets.view(),
                                    .logit_gradient = logit_gradient.matrix(logits.rows, logits.cols),
                                    .loss = loss.view(),
                                    .correct = correct.view()});
    rule->backward(*engine, logit_gradient.matrix(logits.rows, logits.cols), {});
  }

  std::vector<double> weight_gradient(std::size_t projection) const {
    const WeightGradient gradient = rule->weight_gradient(projection);
    return summed(backend, {gradient.trace, gradient.post});
  }
  double threshold_gradient(std::size_t population) const {
    const std::vector<float> value = backend.download(rule->population_gradient(population).threshold);
    REQUIRE(value.size() == 1);
    return value[0];
  }

  static constexpr std::size_t max_batch = 8;
  Backend& backend;
  const std::map<std::string, GoldenArray>& golden;
  Network network;
  std::unique_ptr<ClockEngine> engine;
  std::unique_ptr<ErrorFeedback> feedback;
  std::unique_ptr<Dsr> rule;
  Array<float> logit_gradient;
  Array<double> loss;
};

const std::vector<std::uint32_t> whole_batch = {0, 1, 2, 3, 4, 5};

}  // namespace

TEST_CASE("gradients are those of the published form over all time steps", "[dsr]") {
  const auto golden = read_golden("dsr.txt");
  REQUIRE(golden.size() == 13);
  on_each_backend([&](Backend& backend) {
    Trained trained(backend, golden);
    trained.run(whole_batch);
    const std::vector<float> logits = backend.download(trained.engine->logits().values);
    CHECK(difference(golden.at("logits").values, {logits.begin(), logits.end()}) < 1e-5);
    CHECK(downloaded(backend, trained.loss)[0] / 6 == Approx(golden.at("loss").values[0]).epsilon(1e-5));
    for (std::size_t p = 0; p < 3; ++p) {
      INFO("projection " << p);
      const std::vector<double>& expected = golden.at("weight_gradient" + std::to_string(p)).values;
      CHECK(difference(expected, trained.weight_gradient(p)) < 1e-4);
    }
    for (std::size_t i = 0; i < 2; ++i) {
      INFO("population " << i + 1);
      CHECK(trained.threshold_gradient(i + 1) ==
            Approx(golden.at("threshold_gradients").values[i]).epsilon(1e-4));
    }
    CHECK(trained.rule->population_gradient(0).threshold.empty());
    CHECK(trained.rule->population_gradient(3).threshold.empty());
  });
}

TEST_CASE("gradients of parts of a batch add up to those of the whole", "[dsr]") {
  // The loss is a mean: parts count by their share of the samples. A batch leaves nothing behind for the
  // next.
  const auto golden = read_golden("dsr.txt");
  on_each_backend([&](Backend& backend) {
    Trained trained(backend, golden);
    trained.run(whole_batch);
    std::vector<std::vector<double>> sums(3);
    double threshold_sum = 0;
    for (const auto& part : {std::vector<std::uint32_t>{4}, {5, 0, 1}, {3, 2}}) {
      trained.run(part);
      const double share = static_cast<double>(part.size()) / 6;
      for (std::size_t p = 0; p < 3; ++p) {
        const std::vector<double> gradient = trained.weight_gradient(p);
        sums[p].resize(gradient.size());
        for (std::size_t i = 0; i < gradient.size(); ++i) sums[p][i] += share * gradient[i];
      }
      threshold_sum += share * trained.threshold_gradient(1);
    }
    for (std::size_t p = 0; p < 3; ++p) {
      INFO("projection " << p);
      CHECK(difference(golden.at("weight_gradient" + std::to_string(p)).values, sums[p]) < 1e-4);
    }
    CHECK(threshold_sum == Approx(golden.at("threshold_gradients").values[0]).epsilon(1e-4));
  });
}

TEST_CASE("the subspace learns from averages over time", "[dsr]") {
  const auto golden = read_golden("dsr.txt");
  const auto backend = make_backend("cpu", 1);
  Trained trained(*backend, golden);
  trained.run(whole_batch);
  for (std::size_t p = 0; p < 3; ++p) {
    INFO("projection " << p);
    const ConstMatrix activity = trained.rule->weight_gradient(p).activity;
    const ConstMatrix average = trained.engine->activity(p).average_output;
    CHECK(activity.address() == average.address());
    CHECK(activity.rows == 6);
    CHECK(activity.cols == average.cols);
  }
}

TEST_CASE("the rule refuses neurons that it cannot differentiate", "[dsr]") {
  struct OtherModel final : NeuronModel {
    std::span<const char* const> state_fields() const override { return {}; }
    void run(Backend&, std::size_t, std::size_t, ConstMatrix, const Activity&) const override {}
    SpikeHeight spike_height() const override { return {{}, 1.0F}; }
  };
  const auto backend = make_backend("reference", 1);
  Network network(*backend);
  network.add_population({.name = "other",
                          .size = 3,
                          .kind = Population::Kind::spiking,
                          .neuron = std::make_unique<OtherModel>()});
  Backprop feedback(network);
  CHECK_THROWS_AS(Dsr(network, feedback, RuleContext{.max_batch = 1}), ConfigError);
  CHECK_THROWS_WITH(rules().make("dsr", network, feedback, {.max_batch = 1}),
                    Catch::Matchers::StartsWith("rule.name: the rule dsr differentiates lif_dsr"));
}

TEST_CASE("dsr refuses recurrent projections", "[dsr]") {
  const auto backend = make_backend("cpu", 1);
  Network network(*backend);
  const PlainNeurons neuron{.steps = 2, .dt = 0.1F, .tau = 1, .threshold = 1, .firing_fraction = 1};
  const auto add = [&](const char* name, Population::Kind kind) {
    const bool spiking = kind == Population::Kind::spiking;
    network.add_population({.name = name,
                            .size = 2,
                            .kind = kind,
                            .neuron = spiking ? neuron.make("lif_dsr", *backend) : nullptr});
  };
  add("in", Population::Kind::input);
  add("hidden", Population::Kind::spiking);
  add("out", Population::Kind::readout);
  network.add_projection("in_to_hidden", 0, 1);
  network.add_projection("hidden_to_hidden", 1, 1);
  network.add_projection("hidden_to_out", 1, 2);
  Backprop feedback(network);
  CHECK_THROWS_AS(Dsr(network, feedback, RuleContext{.max_batch = 1}), ConfigError);
}

}  // namespace orthospike::testing
