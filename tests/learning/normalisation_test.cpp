#include "sim/normalisation.hpp"

#include <map>
#include <string>
#include <vector>

#include "kernels/elementwise.hpp"
#include "learning/rules/bptt.hpp"
#include "sim/connections/convolution.hpp"
#include "tests/golden/golden.hpp"
#include "tests/learning/rule_network.hpp"

namespace orthospike::testing {
namespace {

/// The convolutional network of a case of tests/golden/normalisation.txt.
struct Golden {
  enum class Statistics { all_steps, each_step, given };

  std::map<std::string, GoldenArray> arrays = read_golden("normalisation.txt");
  std::string number;
  PlainNeurons neuron{};
  float slope = 0, epsilon = 0, momentum = 0;
  std::vector<std::size_t> sizes = {72};  ///< of populations

  explicit Golden(std::size_t k) : number(std::to_string(k) + ".") {
    const std::vector<float> constants = arrays.at("constants").floats();
    neuron = {.steps = static_cast<std::size_t>(constants[0]),
              .dt = constants[1],
              .tau = constants[2],
              .threshold = constants[3],
              .firing_fraction = constants[4]};
    slope = constants[5];
    epsilon = constants[6];
    momentum = constants[7];
    for (const MapShape& map : maps()) sizes.push_back(map.size());
    sizes.push_back(4);
  }

  const GoldenArray& at(const std::string& name) const { return arrays.at(number + name); }
  bool is_dsr() const { return at("settings").values[0] == 1; }
  bool has_blocks() const { return at("settings").values[2] == 1; }
  /// Whether the currents of the k-th spiking population, counted from 0, are.
  bool is_normalised(std::size_t k) const {
    return arrays.contains(number + "normalisation" + std::to_string(k));
  }
  Statistics statistics() const { return static_cast<Statistics>(at("settings").values[1]); }
  std::vector<MapShape> maps() const {
    if (has_blocks()) {
      std::vector<MapShape> all(6, {6, 6, 2});
      all.resize(9, {3, 3, 3});
      return all;
    }
    return {{6, 6, 3}, {2, 2, 4}};
  }

  Choice<Rules> rule() const {
    Choice<Rules> choice = RuleNetwork::rule_of(is_dsr() ? "dsr" : "bptt");
    if (!is_dsr()) choice.settings<Bptt::Settings>().slope = slope;
    return choice;
  }

  void build(Network& network) const {
    network.add_population(
        {.name = "input", .size = sizes[0], .kind = Population::Kind::input, .neuron = nullptr});
    const std::size_t last = maps().size();
    for (std::size_t k = 0; k < last; ++k) add_spiking(network, k);
    network.add_population(
        {.name = "readout", .size = sizes.back(), .kind = Population::Kind::readout, .neuron = nullptr});
    const auto convolve = [&](std::size_t source, std::size_t target, const Window& window,
                              std::size_t pooled = 1) {
      network.add_projection(std::to_string(network.projections().size()), source, target,
                             std::make_unique<Convolution>(window, maps()[target - 1].channels, pooled));
    };
    if (has_blocks()) {
      for (std::size_t k = 0; k < 6; ++k) convolve(k, k + 1, {{6, 6, 2}, 3, 1, 1});
      convolve(6, 7, {{6, 6, 2}, 3, 2, 1});
      convolve(7, 8, {{3, 3, 3}, 3, 1, 1});
      convolve(6, 8, {{6, 6, 2}, 1, 2, 0});
      convolve(8, 9, {{3, 3, 3}, 3, 1, 1});
    } else {
      convolve(0, 1, {{6, 6, 2}, 3, 1, 1});
      convolve(1, 2, {{3, 3, 3}, 3, 2, 1}, 2);
    }
    network.add_projection(std::to_string(network.projections().size()), last, last + 1);
    for (Projection& projection : network.projections()) {
      const std::vector<float> weights = at("weights" + projection.name).floats();
      network.backend().upload(std::span<const float>(weights), projection.weights.view());
    }
    network.check_complete();
  }

 private:
  /// Of the k-th spiking population, that one, both counted from 0, whose currents are added.
  std::optional<std::size_t> carried(std::size_t k) const {
    static const std::map<std::size_t, std::size_t> from = {{2, 0}, {3, 2}, {4, 3}, {5, 4}, {8, 7}};
    const auto found = from.find(k);
    return has_blocks() && found != from.end() ? std::optional(found->second) : std::nullopt;
  }

  std::unique_ptr<Normalisation> normalisation(Backend& backend, std::size_t k) const {
    if (!is_normalised(k)) return nullptr;
    using Form = NormalisationSettings::Statistics;
    static constexpr Form forms[] = {Form::first_task, Form::each_step, Form::frozen};
    const GoldenArray& constants = at("normalisation" + std::to_string(k));
    auto result = std::make_unique<Normalisation>(
        backend, constants.cols,
        NormalisationSettings{.statistics = forms[static_cast<std::size_t>(statistics())],
                              .momentum = momentum,
                              .epsilon = epsilon});
    const std::vector<float> values = constants.floats();
    std::span<const float> left = values;
    for (const View<float> row : {result->gain(), result->offset(), result->mean(), result->variance()}) {
      backend.upload(left.first(row.size()), row);
      left = left.subspan(row.size());
    }
    return result;
  }

  void add_spiking(Network& network, std::size_t k) const {
    const std::optional<std::size_t> from = carried(k);
    PlainNeurons its = neuron;
    if (is_dsr()) its.threshold = at("threshold" + std::to_string(k)).floats()[0];
    network.add_population({.name = std::to_string(k + 1),
                            .size = sizes[k + 1],
                            .neuron = its.make(is_dsr() ? "lif_dsr" : "lif", network.backend()),
                            .normalisation = normalisation(network.backend(), k),
                            .carried = from ? std::optional(*from + 1) : std::nullopt});
  }
};

constexpr std::size_t cases = 10;

Doubles values_of(Backend& backend, View<const float> view) {
  const std::vector<float> values = backend.download(view);
  return {values.begin(), values.end()};
}

/// The gradient by a projection's weights as training sums it.
Doubles summed_gradient(const RuleNetwork& learned, std::size_t p) {
  const Projection& projection = learned.network.projections()[p];
  Array<float> sum = uploaded(learned.backend, std::vector<float>(projection.weights.size(), not_a_number));
  const WeightGradient gradient = learned.rule->weight_gradient(p);
  projection.connection->add_gradient(learned.backend, gradient.trace, gradient.post, 0,
                                      sum.matrix(projection.presynaptic(), projection.outputs()));
  return values_of(learned.backend, std::as_const(sum).view());
}

}  // namespace

TEST_CASE("normalised convolutional networks have the spikes and gradients of torch", "[normalisation]") {
  for (std::size_t k = 0; k < cases; ++k) {
    const Golden golden(k);
    on_each_backend([&](Backend& backend) {
      INFO("case " << k);
      RuleNetwork learned(backend, golden, golden.rule());
      learned.trains_normalisation = true;
      learned.show(golden.at("image").floats());
      learned.learn(golden.at("errors").floats());
      check_near(learned.logits(), golden.at("logits").values);
      for (std::size_t p = 0; p < learned.network.projections().size(); ++p) {
        INFO("projection " << p);
        const WeightGradient gradient = learned.rule->weight_gradient(p);
        const Doubles& expected = golden.at("gradient" + std::to_string(p)).values;
        check_near(summed_gradient(learned, p), expected);
        check_near(summed(backend, learned.network.projections()[p].connection->pairs(backend, gradient.trace,
                                                                                      gradient.post)),
                   expected);
      }
      for (std::size_t i = 0; i < golden.maps().size(); ++i) {
        INFO("population " << i);
        const std::string which = std::to_string(i);
        const Rule::PopulationGradient gradient = learned.rule->population_gradient(i + 1);
        if (golden.is_dsr())
          check_near(values_of(backend, gradient.threshold), golden.at("by_threshold" + which).values);
        CHECK(gradient.gain.empty() != golden.is_normalised(i));
        if (!golden.is_normalised(i)) continue;
        check_near(values_of(backend, gradient.gain), golden.at("by_gain" + which).values);
        check_near(values_of(backend, gradient.offset), golden.at("by_offset" + which).values);
        Normalisation& normalisation = *learned.network.populations()[i + 1].normalisation;
        Doubles averages = values_of(backend, normalisation.mean());
        const Doubles variances = values_of(backend, normalisation.variance());
        averages.insert(averages.end(), variances.begin(), variances.end());
        check_near(averages, golden.at("averages" + which).values);
      }
    });
  }
}

TEST_CASE("outside training a normalisation goes by its averages, which stay", "[normalisation]") {
  // Cases of given statistics are what all are once they are frozen.
  for (const std::size_t k : {2U, 5U, 7U, 9U}) {
    const Golden golden(k);
    on_each_backend([&](Backend& backend) {
      INFO("case " << k);
      RuleNetwork learned(backend, golden, golden.rule());
      learned.show(golden.at("image").floats());
      learned.learn(golden.at("errors").floats());
      check_near(learned.logits(), golden.at("logits").values);
      for (std::size_t p = 0; p < learned.network.projections().size(); ++p)
        check_near(summed_gradient(learned, p), golden.at("gradient" + std::to_string(p)).values);
    });
  }
  for (const std::size_t k : {0U, 1U, 3U, 4U}) {
    const Golden golden(k);
    const auto backend = make_backend("cpu", 1);
    RuleNetwork learned(*backend, golden, golden.rule());
    learned.show(golden.at("image").floats());
    learned.learn(golden.at("errors").floats());
    Normalisation& normalisation = *learned.network.populations()[2].normalisation;
    const std::vector<float> before = golden.at("normalisation1").floats();
    const std::vector<float> means = backend->download(View<const float>(normalisation.mean()));
    const std::vector<float> variances = backend->download(View<const float>(normalisation.variance()));
    CHECK(means == std::vector<float>(before.begin() + 8, before.begin() + 12));
    CHECK(variances == std::vector<float>(before.begin() + 12, before.end()));
  }
}

TEST_CASE("after training a rule goes by the averages, as one that never trained them", "[normalisation]") {
  for (const std::size_t k : {0U, 3U, 6U, 8U}) {
    INFO("case " << k);
    const Golden golden(k);
    const auto backend = make_backend("cpu", 1);
    RuleNetwork trained(*backend, golden, golden.rule()), fresh(*backend, golden, golden.rule());
    for (RuleNetwork* const network : {&trained, &fresh}) network->show(golden.at("image").floats());
    trained.trains_normalisation = true;
    trained.learn(golden.at("errors").floats());
    trained.trains_normalisation = false;
    for (std::size_t i = 0; i < golden.maps().size(); ++i) {
      if (!golden.is_normalised(i)) continue;
      Normalisation& from = *trained.network.populations()[i + 1].normalisation;
      Normalisation& to = *fresh.network.populations()[i + 1].normalisation;
      backend->copy(View<const float>(from.mean()), to.mean());
      backend->copy(View<const float>(from.variance()), to.variance());
    }
    for (RuleNetwork* const network : {&trained, &fresh}) network->learn(golden.at("errors").floats());
    CHECK(trained.logits() == fresh.logits());
    for (std::size_t p = 0; p < trained.network.projections().size(); ++p)
      CHECK(summed_gradient(trained, p) == summed_gradient(fresh, p));
  }
}

TEST_CASE("errors that come straight from the read-out come by no carried currents", "[normalisation]") {
  for (const std::size_t k : {6U, 8U}) {
    INFO("case " << k);
    const Golden golden(k);
    const auto backend = make_backend("cpu", 1);
    const auto gradient = [&](const std::string& feedback, float factor) {
      RuleNetwork network(*backend, golden, golden.rule(), feedback);
      network.show(golden.at("image").floats());
      // What lies behind the first population.
      const View<float> weights = network.network.projections()[2].weights.view();
      backend->elementwise().run(Add{.alpha = factor, .x = weights, .beta = 0, .y = weights});
      network.learn(golden.at("errors").floats());
      return summed_gradient(network, 0);
    };
    CHECK(gradient("direct_feedback_alignment", 1) == gradient("direct_feedback_alignment", -0.5F));
    CHECK(gradient("backprop", 1) != gradient("backprop", -0.5F));
  }
}

TEST_CASE("currents are normalised where they arrive, by whole channels", "[normalisation]") {
  const auto backend = make_backend("reference", 1);
  const auto normalised = [&](std::size_t channels) {
    return std::make_unique<Normalisation>(*backend, channels, NormalisationSettings());
  };
  const PlainNeurons neuron{.steps = 2, .dt = 1, .tau = 4, .threshold = 1};
  Network network(*backend);
  CHECK_THROWS_AS(network.add_population({.name = "input",
                                          .size = 6,
                                          .kind = Population::Kind::input,
                                          .neuron = nullptr,
                                          .normalisation = normalised(3)}),
                  std::invalid_argument);
  CHECK_THROWS_AS(
      network.add_population(
          {.name = "a", .size = 7, .neuron = neuron.make("lif", *backend), .normalisation = normalised(3)}),
      std::invalid_argument);
  network.add_population({.name = "input", .size = 6, .kind = Population::Kind::input, .neuron = nullptr});
  network.add_population(
      {.name = "a", .size = 6, .neuron = neuron.make("lif", *backend), .normalisation = normalised(3)});
  network.add_projection("to a", 0, 1);
  CHECK_THROWS_AS(network.add_projection("a to a", 1, 1), std::invalid_argument);
}

}  // namespace orthospike::testing
