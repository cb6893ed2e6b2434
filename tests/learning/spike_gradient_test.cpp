#include <numeric>
#include <string>
#include <vector>

#include "kernels/loss.hpp"
#include "kernels/neurons.hpp"
#include "learning/rules/bptt.hpp"
#include "tests/golden/golden.hpp"
#include "tests/learning/rule_network.hpp"
#include "tests/plain_lif.hpp"
#include "tests/targets.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t batch = 3;
constexpr double tolerance = 1e-5;  // in parts of the largest element

PlainNetwork network_of(const std::string& model, std::vector<std::size_t> sizes, bool recurrent = false,
                        float leak = 0) {
  PlainNetwork plain{.model = model,
                     .neuron = {.steps = 6,
                                .dt = 0.25F,
                                .tau = 1.0F,
                                .threshold = 0.75F,
                                .adaptation = 0.25F,
                                .adaptation_tau = 2.0F},
                     .sizes = std::move(sizes),
                     .recurrent = recurrent,
                     .leak = leak};
  plain.draw_weights(3);
  return plain;
}

std::vector<float> inputs_of(const PlainNetwork& plain) {
  return random_values(batch * plain.sizes[0], 7, -1.0F, 2.0F);
}

/// Errors of each step at the read-out, [steps·batch × classes].
std::vector<float> errors_of(const PlainNetwork& plain) {
  return random_values(plain.neuron.steps * batch * plain.sizes.back(), 8);
}

PlainNetwork::Run run_of(const PlainNetwork& plain, std::size_t sample) {
  const std::vector<float> inputs = inputs_of(plain);
  const auto first = inputs.begin() + static_cast<std::ptrdiff_t>(sample * plain.sizes[0]);
  PlainNetwork::Run run =
      plain.run({first, first + static_cast<std::ptrdiff_t>(plain.sizes[0])}, PlainLif(plain));
  REQUIRE(run.nearest > 1e-6);
  return run;
}

Doubles error_of(const PlainNetwork& plain, std::size_t step, std::size_t sample) {
  const std::vector<float> errors = errors_of(plain);
  const auto first =
      errors.begin() + static_cast<std::ptrdiff_t>((step * batch + sample) * plain.sizes.back());
  return {first, first + static_cast<std::ptrdiff_t>(plain.sizes.back())};
}

/// The surrogate derivative of slope 4.
double sigmoid_derivative(double margin) {
  const double s = 1.0 / (1.0 + std::exp(-4.0 * margin));
  return 4.0 * s * (1.0 - s);
}

/// sum += x yᵀ
void add_outer(const Doubles& x, const Doubles& y, Doubles& sum) {
  sum.resize(x.size() * y.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = 0; j < y.size(); ++j) sum[i * y.size() + j] += x[i] * y[j];
  }
}

/// OTTT with error feedback through `back` (one a projection), step by step.
std::vector<Doubles> plain_ottt(const PlainNetwork& plain, const std::vector<std::vector<float>>& back,
                                bool direct) {
  const PlainLif neuron(plain);
  const std::size_t last = plain.populations() - 1;
  std::vector<Doubles> sums(plain.weights.size());
  for (std::size_t b = 0; b < batch; ++b) {
    const PlainNetwork::Run run = run_of(plain, b);
    std::vector<Doubles> trace, before, synapse;
    for (const std::size_t size : plain.sizes) {
      trace.emplace_back(size, 0.0);
      synapse.emplace_back(size, 0.0);
    }
    Doubles to_readout(plain.sizes[last - 1], 0.0);
    for (std::size_t t = 0; t < plain.neuron.steps; ++t) {
      before = trace;
      for (std::size_t k = 1; k < last; ++k) {
        for (std::size_t i = 0; i < trace[k].size(); ++i) {
          synapse[k][i] = neuron.synapse_decay * synapse[k][i] + run.output[t][k][i];
          trace[k][i] = neuron.decay * trace[k][i] + synapse[k][i];
        }
      }
      // To a read-out that leaks the past fades as the read-out does.
      for (std::size_t i = 0; i < to_readout.size(); ++i) {
        to_readout[i] =
            plain.leak == 0.0F ? trace[last - 1][i] : plain.leak * to_readout[i] + run.output[t][last - 1][i];
      }
      const Doubles readout_error = error_of(plain, t, b);
      Doubles error = readout_error;
      for (std::size_t k = last; k > 0; --k) {
        if (k < last) {
          const std::size_t through = plain.forward(k + 1);
          error = back_through(back[through], direct ? readout_error : error);
          for (std::size_t j = 0; j < error.size(); ++j) error[j] *= sigmoid_derivative(run.margin[t][k][j]);
          if (plain.recurrent) add_outer(before[k], error, sums[plain.backward(k)]);
        }
        add_outer(k == last ? to_readout
                  : k == 1  ? run.output[t][0]
                            : trace[k - 1],
                  error, sums[plain.forward(k)]);
      }
    }
  }
  return sums;
}

/// e-prop of one spiking population as published: eligibility vectors of every synapse, carried forward in
/// time and filtered as the read-out is, times learning signals through `back` [neurons × classes].
std::vector<Doubles> plain_eprop(const PlainNetwork& plain, const std::vector<float>& back) {
  const PlainLif neuron(plain);
  const std::size_t neurons = plain.sizes[1];
  std::vector<Doubles> sums(plain.weights.size());
  for (std::size_t p = 0; p + 1 < plain.weights.size(); ++p) sums[p].assign(plain.weights[p].size(), 0.0);
  for (std::size_t b = 0; b < batch; ++b) {
    const PlainNetwork::Run run = run_of(plain, b);
    Doubles readout_trace(neurons, 0.0);
    for (std::size_t t = 0; t < plain.neuron.steps; ++t) {
      for (std::size_t j = 0; j < neurons; ++j)
        readout_trace[j] = plain.leak * readout_trace[j] + run.output[t][1][j];
      add_outer(readout_trace, error_of(plain, t, b), sums.back());
    }
    for (std::size_t p = 0; p + 1 < plain.weights.size(); ++p) {
      const bool own = p == 1;
      for (std::size_t i = 0; i < plain.weights[p].size() / neurons; ++i) {
        for (std::size_t j = 0; j < neurons; ++j) {
          double synaptic = 0, potential = 0, adaptive = 0, filtered = 0;
          for (std::size_t t = 0; t < plain.neuron.steps; ++t) {
            const double z = !own ? run.output[t][0][i] : t > 0 ? run.output[t - 1][1][i] : 0.0;
            synaptic = neuron.synapse_decay * synaptic + z;
            potential = neuron.decay * potential + synaptic;
            const double psi = sigmoid_derivative(run.margin[t][1][j]);
            const double eligibility = psi * (potential - neuron.adaptation * adaptive);
            adaptive = psi * potential + (neuron.adaptation_decay - psi * neuron.adaptation) * adaptive;
            filtered = plain.leak * filtered + eligibility;
            sums[p][i * neurons + j] += back_through(back, error_of(plain, t, b))[j] * filtered;
          }
        }
      }
    }
  }
  return sums;
}

void check_gradients(const std::vector<Doubles>& expected, const RuleNetwork& actual) {
  for (std::size_t p = 0; p < expected.size(); ++p) {
    INFO("projection " << p);
    REQUIRE(std::ranges::any_of(expected[p], [](double element) { return std::abs(element) > 1e-3; }));
    CHECK(difference(expected[p], actual.gradient(p)) < tolerance);
  }
}

std::vector<std::vector<float>> feedback_weights(RuleNetwork& network) {
  std::vector<std::vector<float>> weights;
  for (std::size_t p = 0; p < network.network.projections().size(); ++p) {
    const bool back = network.network.projections()[p].source > 0;
    weights.push_back(back ? network.feedback_weights(p) : std::vector<float>());
  }
  return weights;
}

}  // namespace

TEST_CASE("gradients of bptt are those of automatic differentiation", "[bptt]") {
  const auto golden = read_golden("bptt.txt");
  const std::vector<double>& constants = golden.at("constants").values;
  std::size_t cases = 0;
  for (; golden.contains(std::to_string(cases) + ".settings"); ++cases) {
    const auto array = [&](const std::string& name) -> const GoldenArray& {
      return golden.at(std::to_string(cases) + "." + name);
    };
    const std::vector<float> settings = array("settings").floats();
    PlainNetwork plain{.model = std::vector<std::string>{"lif", "if", "alif"}[static_cast<int>(settings[0])],
                       .neuron = {.steps = static_cast<std::size_t>(constants[0]),
                                  .dt = static_cast<float>(constants[1]),
                                  .tau = static_cast<float>(constants[2]),
                                  .threshold = static_cast<float>(constants[3]),
                                  .hard_reset = settings[1] != 0.0F,
                                  .synapse_tau = settings[5],
                                  .adaptation = static_cast<float>(constants[4]),
                                  .adaptation_tau = static_cast<float>(constants[5])},
                       .sizes = {golden.at("inputs").cols},
                       .recurrent = settings[7] != 0.0F,
                       .leak = settings[6]};
    for (std::size_t p = 0; p < 3; ++p) {
      const GoldenArray& weights = golden.at("weights" + std::to_string(p));
      plain.sizes.push_back(weights.cols);
      plain.weights.push_back(weights.floats());
      if (plain.recurrent && p < 2)
        plain.weights.push_back(golden.at("recurrent" + std::to_string(p)).floats());
    }
    Choice<Rules> rule = RuleNetwork::rule_of("bptt");
    auto& its = rule.settings<Bptt::Settings>();
    its.surrogate = static_cast<Surrogate>(static_cast<int>(settings[3]));
    its.slope = settings[4];
    its.detached_reset = settings[2] != 0.0F;
    on_each_backend([&](Backend& backend) {
      INFO("case " << cases);
      RuleNetwork network(backend, plain, rule);
      network.show(golden.at("inputs").floats());
      network.engine->run(network.rule->recording());
      const ConstMatrix logits = network.engine->logits();
      const std::vector<float> values = backend.download(logits.values);
      CHECK(difference(array("logits").values, {values.begin(), values.end()}) < tolerance);

      const std::vector<double>& numbers = golden.at("labels").values;
      const auto targets = uploaded(backend, among_all(numbers, logits.cols));
      auto gradient = backend.allocate<float>(values.size());
      auto loss = backend.allocate<double>(1);
      auto correct = backend.allocate<std::uint32_t>(1);
      backend.loss().run(CrossEntropy{.logits = logits,
                                      .targets = targets.view(),
                                      .logit_gradient = gradient.matrix(logits.rows, logits.cols),
                                      .loss = loss.view(),
                                      .correct = correct.view()});
      CHECK(downloaded(backend, loss)[0] / 3 == Approx(array("loss").values[0]).epsilon(1e-6));
      network.rule->backward(*network.engine, gradient.matrix(logits.rows, logits.cols), {});
      for (std::size_t p = 0; p < plain.weights.size(); ++p) {
        INFO("projection " << p);
        CHECK(difference(array("weight_gradient" + std::to_string(p)).values, network.gradient(p)) <
              tolerance);
      }
    });
  }
  REQUIRE(cases == 11);
}

TEST_CASE("with direct feedback nothing comes back through recurrent projections", "[bptt]") {
  const PlainNetwork plain = network_of("lif", {6, 9, 8, 4}, true);
  const std::size_t rows = plain.neuron.steps * batch;
  on_each_backend([&](Backend& backend) {
    for (const std::string name : {"direct_feedback_alignment", "backprop"}) {
      INFO(name);
      RuleNetwork network(backend, plain, "bptt", name);
      network.show(inputs_of(plain));
      const std::vector<float> errors = random_values(batch * 4, 8);
      network.learn(errors);
      const std::vector<float> back = network.feedback_weights(plain.forward(3));
      std::vector<float> by_spike;
      for (std::size_t b = 0; b < batch; ++b) {
        const auto first = errors.begin() + static_cast<std::ptrdiff_t>(4 * b);
        for (const double error : back_through(back, {first, first + 4}))
          by_spike.push_back(static_cast<float>(error / static_cast<double>(plain.neuron.steps)));
      }
      const auto stored = uploaded(backend, by_spike);
      auto alone = backend.allocate<float>(rows * 8);
      backend.neurons().run(NeuronsBackward<Lif>{.neuron = {.decay = 0.75F, .threshold = 0.75F},
                                                 .derivative = {.slope = 4.0F},
                                                 .steps = plain.neuron.steps,
                                                 .margin = network.engine->activity(2).margin,
                                                 .output_error = stored.matrix(batch, 8),
                                                 .current_error = alone.matrix(rows, 8)});
      const std::vector<float> expected = downloaded(backend, alone);
      const std::vector<float> post =
          backend.download(network.rule->weight_gradient(plain.backward(2)).post.values);
      const double apart = difference({expected.begin(), expected.end()}, {post.begin(), post.end()});
      CHECK((apart < tolerance) == (name == "direct_feedback_alignment"));
    }
  });
}

TEST_CASE("gradients of ottt are those of a loop over steps, whatever the feedback", "[ottt]") {
  std::vector<PlainNetwork> networks = {network_of("lif", {6, 9, 8, 4}), network_of("alif", {6, 9, 8, 4}),
                                        network_of("lif", {6, 9, 8, 4}, true, 0.5F)};
  networks.push_back(networks[0]);
  networks.back().neuron.synapse_tau = 0.5F;
  networks.push_back(networks[2]);
  networks.back().neuron.hard_reset = true;
  on_each_backend([&](Backend& backend) {
    for (std::size_t i = 0; i < networks.size(); ++i) {
      for (const std::string& name : error_feedbacks().names()) {
        INFO("network " << i << ", " << name);
        RuleNetwork network(backend, networks[i], "ottt", name);
        network.show(inputs_of(networks[i]));
        network.learn(errors_of(networks[i]));
        check_gradients(plain_ottt(networks[i], feedback_weights(network), network.feedback->is_direct()),
                        network);
      }
    }
  });
}

TEST_CASE("online rules need nothing of later steps: gradients of windows add up to those of the whole",
          "[ottt][eprop]") {
  const auto reference = make_backend("reference", 1);
  std::vector<std::pair<std::string, PlainNetwork>> networks;
  for (const bool recurrent : {false, true}) {
    for (const float leak : {0.0F, 0.5F}) {
      for (const std::string& model : neuron_models_with(&NeuronModel::Traits::has_surrogate_derivative)) {
        PlainNetwork plain = network_of(model, {6, 9, 8, 4}, recurrent, leak);
        const bool adapts = plain.neuron.make(model, *reference)->surrogate_traits()->adapts;
        for (const float synapse_tau : {0.0F, 0.5F}) {
          plain.neuron.synapse_tau = synapse_tau;
          networks.emplace_back("ottt", plain);
          if (leak == 0.0F && !adapts) networks.emplace_back("eprop", plain);
        }
      }
    }
  }
  on_each_backend([&](Backend& backend) {
    for (const auto& [rule, plain] : networks) {
      INFO(rule << ", " << plain.model << ", recurrent " << plain.recurrent << ", leak " << plain.leak
                << ", synapse_tau " << plain.neuron.synapse_tau);
      const std::vector<float> errors = errors_of(plain);
      RuleNetwork whole(backend, plain, rule), parts(backend, plain, rule);
      CHECK(parts.rule->is_online());
      whole.show(inputs_of(plain));
      whole.learn(errors);
      parts.show(inputs_of(plain));
      std::vector<Doubles> sums(plain.weights.size());
      std::size_t first = 0;
      for (const std::size_t count : {1U, 3U, 1U, 1U}) {
        const auto begin = errors.begin() + static_cast<std::ptrdiff_t>(first * batch * 4);
        parts.learn(first, count, {begin, begin + static_cast<std::ptrdiff_t>(count * batch * 4)});
        for (std::size_t p = 0; p < sums.size(); ++p) {
          const Doubles part = parts.gradient(p);
          sums[p].resize(part.size());
          for (std::size_t j = 0; j < part.size(); ++j) sums[p][j] += part[j];
        }
        first += count;
      }
      check_gradients(sums, whole);
    }
  });
}

TEST_CASE("in a single step all rules take the gradient of back-propagation", "[bptt][ottt][eprop]") {
  for (const std::string& model : neuron_models_with(&NeuronModel::Traits::has_surrogate_derivative)) {
    PlainNetwork plain = network_of(model, {6, 9, 8, 4});
    plain.neuron.steps = 1;
    on_each_backend([&](Backend& backend) {
      INFO(model);
      std::vector<Doubles> expected;
      for (const std::string rule : {"bptt", "ottt", "eprop"}) {
        INFO(rule);
        RuleNetwork network(backend, plain, rule);
        network.show(inputs_of(plain));
        network.learn(errors_of(plain));
        for (std::size_t p = 0; p < 3 && rule == "bptt"; ++p) expected.push_back(network.gradient(p));
        check_gradients(expected, network);
      }
    });
  }
}

// With a detached soft reset, the potential is a sum of past currents, decayed; so the travel of an error back
// through it and that of a trace forward are one sum in two orders,
//   Σ_k (Σ_{t ≥ k} decay^(t-k) ψ[t] e[t]) x[k]ᵀ = Σ_t ψ[t] e[t] (Σ_{k ≤ t} decay^(t-k) x[k])ᵀ,
// for any errors e by the spikes; adaptation changes e[t] alike in both. What ottt and e-prop leave out are the
// paths from a population's spikes over the time of a later one, so the last population's gradient is exact:
// that of all its projections in e-prop, that of spikes between populations in ottt (it takes the static input
// for its own trace and gives the read-out traces that bptt does not). A hard reset cuts what a trace keeps.
TEST_CASE(
    "where nothing but the last population's potentials lasts, traces are back-propagation through time",
    "[bptt][ottt][eprop]") {
  struct Variant {
    std::string model;
    float leak, synapse_tau;
    bool hard_reset;
  };
  on_each_backend([](Backend& backend) {
    for (const Variant& variant :
         {Variant{"lif", 0, 0, false}, Variant{"if", 0, 0, false}, Variant{"lif", 0, 0.5F, false},
          Variant{"lif", 0.5F, 0, false}, Variant{"alif", 0.5F, 0.5F, false}, Variant{"lif", 0, 0, true}}) {
      PlainNetwork plain = network_of(variant.model, {6, 9, 8, 4}, false, variant.leak);
      plain.neuron.synapse_tau = variant.synapse_tau;
      plain.neuron.hard_reset = variant.hard_reset;
      INFO(variant.model << ", leak " << variant.leak << ", synapse_tau " << variant.synapse_tau
                         << ", hard reset " << variant.hard_reset);
      // The same errors in every step, which is what the loss of the mean logits gives.
      const std::vector<float> of_mean = random_values(batch * 4, 9);
      std::vector<float> of_steps;
      for (std::size_t t = 0; t < plain.neuron.steps; ++t) {
        for (const float error : of_mean) of_steps.push_back(error / static_cast<float>(plain.neuron.steps));
      }
      const auto learned = [&](const PlainNetwork& network, const std::string& rule) {
        RuleNetwork result(backend, network, rule);
        result.show(inputs_of(network));
        result.learn(rule == "bptt" ? of_mean : of_steps);
        std::vector<Doubles> gradients;
        for (std::size_t p = 0; p < network.weights.size(); ++p) gradients.push_back(result.gradient(p));
        return gradients;
      };
      const auto bptt = learned(plain, "bptt"), ottt = learned(plain, "ottt"),
                 eprop = learned(plain, "eprop");
      CHECK(difference(bptt[0], eprop[0]) > 1e-2);
      CHECK(difference(bptt[0], ottt[0]) > 1e-2);
      CHECK(difference(bptt[2], eprop[2]) < tolerance);
      if (variant.hard_reset) {
        CHECK(difference(bptt[1], ottt[1]) > 1e-2);
        CHECK(difference(bptt[1], eprop[1]) > 1e-2);
        continue;
      }
      CHECK(difference(bptt[1], eprop[1]) < tolerance);
      // In ottt errors do not go back through adaptation, nor through a read-out that leaks.
      if (variant.model != "alif" && variant.leak == 0.0F) CHECK(difference(bptt[1], ottt[1]) < tolerance);
      CHECK((difference(bptt[2], ottt[2]) < tolerance) == (variant.leak != 0.0F));

      PlainNetwork shallow = plain;
      shallow.sizes = {6, 9, 4};
      shallow.weights.clear();
      shallow.draw_weights(4);
      const auto exact = learned(shallow, "bptt"), same = learned(shallow, "eprop");
      for (std::size_t p = 0; p < 2; ++p) CHECK(difference(exact[p], same[p]) < tolerance);
    }
  });
}

TEST_CASE("for a loss of the last step alone, one step of ottt is back-propagation through time",
          "[bptt][ottt]") {
  // By linearity: what bptt takes for the sum of the losses of all steps, less that of all but the last.
  PlainNetwork plain = network_of("lif", {6, 9, 8, 4}), shorter = plain;
  shorter.neuron.steps -= 1;
  const std::vector<float> error = random_values(batch * 4, 9);
  std::vector<float> of_last(plain.neuron.steps * batch * 4, 0.0F);
  std::copy(error.begin(), error.end(), of_last.end() - batch * 4);
  on_each_backend([&](Backend& backend) {
    const auto of_sum = [&](const PlainNetwork& network) {
      RuleNetwork result(backend, network, "bptt");
      result.show(inputs_of(network));
      std::vector<float> scaled = error;
      for (float& element : scaled) element *= static_cast<float>(network.neuron.steps);
      result.learn(scaled);
      return result.gradient(1);
    };
    Doubles expected = of_sum(plain);
    const Doubles of_others = of_sum(shorter);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] -= of_others[i];
    RuleNetwork ottt(backend, plain, "ottt");
    ottt.show(inputs_of(plain));
    ottt.learn(of_last);
    CHECK(difference(expected, ottt.gradient(1)) < tolerance);
  });
}

TEST_CASE("e-prop is the published recursion of eligibility vectors", "[eprop]") {
  std::vector<PlainNetwork> networks = {network_of("alif", {2, 2, 2}, true, 0.5F),
                                        network_of("lif", {2, 2, 2}, true, 0.5F),
                                        network_of("alif", {5, 7, 4}, true, 0.0F)};
  networks[0].weights[0] = {0.75F, 0.5F, 0.25F, 0.5F};
  networks[0].weights[1] = {0.25F, 0.5F, -0.25F, 0.375F};
  networks.push_back(networks[2]);
  networks.back().neuron.synapse_tau = 0.5F;
  on_each_backend([&](Backend& backend) {
    for (std::size_t i = 0; i < networks.size(); ++i) {
      const PlainNetwork& plain = networks[i];
      for (const std::string name : {"backprop", "direct_feedback_alignment"}) {
        INFO("network " << i << ", " << name);
        RuleNetwork network(backend, plain, "eprop", name);
        network.show(inputs_of(plain));
        network.learn(errors_of(plain));
        check_gradients(plain_eprop(plain, network.feedback_weights(plain.forward(2))), network);
      }
    }
  });
}

TEST_CASE("a batch leaves nothing behind for the next", "[bptt][ottt][eprop]") {
  on_each_backend([](Backend& backend) {
    for (const std::string rule : {"bptt", "ottt", "eprop"}) {
      INFO(rule);
      PlainNetwork plain = network_of("alif", {6, 9, 8, 4}, true, 0.5F);
      plain.neuron.synapse_tau = 0.5F;
      const std::size_t rows = rule == "bptt" ? batch : plain.neuron.steps * batch;
      const std::vector<float> errors = random_values(rows * 4, 8);
      RuleNetwork fresh(backend, plain, rule), used(backend, plain, rule);
      used.show(random_values(8 * 6, 9, -1.0F, 3.0F));
      used.learn(random_values(rows / batch * 8 * 4, 10));
      std::vector<Doubles> expected;
      for (RuleNetwork* network : {&fresh, &used}) {
        network->show(inputs_of(plain));
        network->learn(errors);
      }
      for (std::size_t p = 0; p < plain.weights.size(); ++p) CHECK(fresh.gradient(p) == used.gradient(p));
    }
  });
}

TEST_CASE("subspaces learn from the spikes of every step", "[bptt][ottt][eprop]") {
  const auto backend = make_backend("cpu", 1);
  for (const std::string rule : {"bptt", "ottt", "eprop"}) {
    for (const bool past_in_traces : {true, false}) {
      INFO(rule << ", past in traces " << past_in_traces);
      const PlainNetwork plain = network_of("lif", {6, 9, 8, 4});
      RuleNetwork network(*backend, plain, rule, "backprop", past_in_traces);
      network.show(inputs_of(plain));
      network.learn(random_values((rule == "bptt" ? 1 : plain.neuron.steps) * batch * 4, 8));
      const Presynaptic activity = network.rule->weight_gradient(1).activity;
      REQUIRE(activity.rows == plain.neuron.steps * batch);
      CHECK(activity.rows <= network.rule->max_rows());
      const std::vector<float> values = backend->download(activity.values);
      const EventLists events = downloaded_spikes(*backend, activity.spikes);
      for (std::size_t b = 0; b < batch; ++b) {
        const PlainNetwork::Run run = run_of(plain, b);
        for (std::size_t t = 0; t < plain.neuron.steps; ++t) {
          const std::size_t row = t * batch + b;
          const auto first = values.begin() + static_cast<std::ptrdiff_t>(9 * row);
          CHECK(difference(run.output[t][1], {first, first + 9}) < 1e-6);
          CHECK(static_cast<double>(events[row].size()) ==
                std::accumulate(run.output[t][1].begin(), run.output[t][1].end(), 0.0));
        }
      }
      CHECK(network.rule->weight_gradient(0).activity.address() ==
            network.engine->activity(0).mean_output.address());
    }
  }
}

TEST_CASE("the past may be in the traces or in the postsynaptic factors", "[bptt][ottt][eprop]") {
  on_each_backend([](Backend& backend) {
    for (const std::string rule : {"bptt", "ottt", "eprop"}) {
      for (const float leak : {0.0F, 0.5F}) {
        INFO(rule << ", leak " << leak);
        PlainNetwork plain = network_of("alif", {6, 9, 8, 4}, true, leak);
        plain.neuron.synapse_tau = 0.5F;
        const std::size_t rows = rule == "bptt" ? batch : plain.neuron.steps * batch;
        const std::vector<float> errors = random_values(rows * 4, 8);
        RuleNetwork traces(backend, plain, rule, "backprop", true);
        RuleNetwork factors(backend, plain, rule, "backprop", false);
        for (RuleNetwork* network : {&traces, &factors}) {
          network->show(inputs_of(plain));
          network->learn(errors);
        }
        for (std::size_t p = 0; p < plain.weights.size(); ++p) {
          INFO("projection " << p);
          CHECK(difference(traces.gradient(p), factors.gradient(p)) < 1e-5);
          const WeightGradient gradient = factors.rule->weight_gradient(p);
          if (!gradient.trace.has_events()) continue;
          // The events are the same rows as the numbers.
          WeightGradient dense = gradient;
          dense.trace = ConstMatrix(gradient.trace);
          Array<float> sums[2] = {backend.allocate<float>(gradient.trace.cols * gradient.post.cols),
                                  backend.allocate<float>(gradient.trace.cols * gradient.post.cols)};
          const auto sum = [&](const WeightGradient& g, Array<float>& to) {
            add_outer_products(backend, 1.0F, g.trace, g.post, 0.0F, to.matrix(g.trace.cols, g.post.cols));
            const std::vector<float> values = downloaded(backend, to);
            return Doubles(values.begin(), values.end());
          };
          CHECK(difference(sum(dense, sums[0]), sum(gradient, sums[1])) < 1e-5);
        }
      }
    }
  });
}

TEST_CASE("rules of surrogates refuse other neurons", "[bptt][ottt][eprop]") {
  const auto backend = make_backend("reference", 1);
  PlainNetwork other = network_of("lif", {3, 4, 2});
  other.model = "lif_dsr";
  other.neuron.firing_fraction = 1;
  for (const std::string rule : {"bptt", "ottt", "eprop"}) {
    CHECK_THROWS_WITH(RuleNetwork(*backend, other, rule),
                      "rule.name: the rule " + rule + " needs surrogate derivatives; set neuron.model to " +
                          alternatives(neuron_models_with(&NeuronModel::Traits::has_surrogate_derivative)));
  }
  PlainNetwork hard = network_of("alif", {3, 4, 2});
  hard.neuron.hard_reset = true;
  Choice<Rules> bptt = RuleNetwork::rule_of("bptt");
  bptt.settings<Bptt::Settings>().detached_reset = false;
  CHECK_THROWS_WITH(RuleNetwork(*backend, hard, bptt),
                    Catch::Matchers::StartsWith("rule.detached_reset: errors through such a reset"));
}

}  // namespace orthospike::testing
