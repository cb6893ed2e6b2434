#include "learning/trainer.hpp"

#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/encoding.hpp"
#include "tests/learning/rule_network.hpp"
#include "tests/learning/shown_set.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t batch = 8;

Config config_of(const std::string& rule, const std::string& update) {
  Config config;
  config.training.batch_size = batch;
  config.network.hidden = {20, 15};
  config.set("neuron.model", "lif");
  config.set("neuron.steps", "4");
  config.set("neuron.dt", "1");
  config.set("neuron.tau", "2");
  config.set("neuron.threshold", "0.5");
  config.set("rule.name", rule);
  config.set("rule.update", update);
  config.set("protection.name", "none");
  return config;
}

/// What one batch of the first digits leaves behind.
struct Learned {
  std::vector<std::vector<float>> weights = {};
  double loss = 0;
  std::uint32_t correct = 0;
};

std::vector<std::uint32_t> numbers(std::size_t count) {
  std::vector<std::uint32_t> result(count);
  std::iota(result.begin(), result.end(), 0U);
  return result;
}

Learned learned(Backend& backend, const Config& config) {
  const ShownSet images(backend, digit_images().train, batch);
  Trainer trainer(backend, config, {.height = 8, .width = 8}, 10);
  const auto samples = uploaded(backend, numbers(batch)), pixel_order = uploaded(backend, numbers(64));
  auto loss = backend.allocate<double>(1);
  auto correct = backend.allocate<std::uint32_t>(1);
  trainer.begin_task(0, {.epochs = 1, .updates_per_epoch = 1});
  images.train(trainer, samples.view(), pixel_order.view(), loss.view(), correct.view());
  Learned result{.loss = downloaded(backend, loss)[0], .correct = downloaded(backend, correct)[0]};
  for (const Projection& projection : trainer.network().projections())
    result.weights.push_back(downloaded(backend, projection.weights));
  return result;
}

/// The same by hand: `count` steps, their gradients, a step against them, and on. Gradients are those of so many
/// steps at once; all of `count` unless something else is said.
Learned by_hand(Backend& backend, const Config& config, std::size_t count, std::size_t at_once = 0) {
  if (at_once == 0) at_once = count;
  PlainNetwork plain{.neuron = {.steps = config.clock.steps, .dt = 1, .tau = 2, .threshold = 0.5F},
                     .sizes = {64, 20, 15, 10},
                     .recurrent = config.network.recurrent,
                     .leak = config.network.readout_tau == 0 ? 0 : 1 - 1 / config.network.readout_tau};
  RuleNetwork network(backend, plain, config.rule);
  network.network.initialise_weights(config.experiment.seed);
  const ShownSet images(backend, digit_images().train, batch);
  const auto samples = uploaded(backend, numbers(batch)), pixel_order = uploaded(backend, numbers(64));
  backend.encoding().run(EncodeImages{.images = images.pixels.view(),
                                      .samples = samples.view(),
                                      .pixel_order = pixel_order.view(),
                                      .mean = *config.data.mean,
                                      .deviation = *config.data.deviation,
                                      .currents = network.engine->input(batch)});
  Learned result;
  for (const Projection& projection : network.network.projections())
    result.weights.push_back(downloaded(backend, projection.weights));
  std::vector<Doubles> gradients(result.weights.size());
  for (std::size_t first = 0; first < config.clock.steps; first += at_once) {
    network.engine->run_steps(first, at_once, network.rule->recording());
    const std::vector<float> logits = backend.download(network.engine->step_logits().values);
    // Softmax less one-hot, over samples and steps.
    std::vector<float> errors;
    for (std::size_t row = 0; row < at_once * batch; ++row) {
      const std::uint8_t label = digit_images().train.labels[row % batch];
      double sum = 0;
      for (std::size_t c = 0; c < 10; ++c) sum += std::exp(logits[row * 10 + c]);
      for (std::size_t c = 0; c < 10; ++c) {
        const double error = std::exp(logits[row * 10 + c]) / sum - (c == label ? 1 : 0);
        errors.push_back(static_cast<float>(error / (batch * static_cast<double>(config.clock.steps))));
      }
      result.loss -=
          std::log(std::exp(logits[row * 10 + label]) / sum) / static_cast<double>(config.clock.steps);
    }
    network.stored = uploaded(backend, errors);
    network.rule->backward(*network.engine, network.stored.matrix(at_once * batch, 10), {});
    for (std::size_t p = 0; p < result.weights.size(); ++p) {
      const Doubles gradient = network.gradient(p);
      gradients[p].resize(gradient.size());
      for (std::size_t i = 0; i < gradient.size(); ++i) gradients[p][i] += gradient[i];
      if ((first + at_once) % count != 0) continue;
      for (std::size_t i = 0; i < gradient.size(); ++i)
        result.weights[p][i] -= config.schedule.learning_rates[0] * static_cast<float>(gradients[p][i]);
      gradients[p].clear();
      backend.upload(std::span<const float>(result.weights[p]),
                     network.network.projections()[p].weights.view());
    }
  }
  const std::vector<float> logits = backend.download(network.engine->logits().values);
  for (std::size_t b = 0; b < batch; ++b) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>(10 * b);
    if (std::max_element(row, row + 10) - row == digit_images().train.labels[b]) ++result.correct;
  }
  return result;
}

double difference(const Learned& a, const Learned& b) {
  double largest = 0;
  for (std::size_t p = 0; p < a.weights.size(); ++p) {
    for (std::size_t i = 0; i < a.weights[p].size(); ++i)
      largest = std::max(largest, std::abs(static_cast<double>(a.weights[p][i]) - b.weights[p][i]));
  }
  return largest;
}

/// The sentence with which a trainer is refused; empty when it is taken.
std::string refusal(const std::vector<std::string>& arguments) {
  const auto backend = make_backend("reference", 1);
  try {
    Trainer(*backend, read_config("", arguments), {.height = 8, .width = 8}, 10);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a batch is learned as by hand, after the sequence or after each step", "[trainer]") {
  on_each_backend([](Backend& backend) {
    for (const bool recurrent : {false, true}) {
      for (const float readout_tau : {0.0F, 4.0F}) {
        INFO("recurrent " << recurrent << ", readout_tau " << readout_tau);
        Config steps = config_of("ottt", "step"), sequence = config_of("ottt", "sequence"),
               eprop = config_of("eprop", "sequence");
        for (Config* config : {&steps, &sequence, &eprop}) {
          config->network.recurrent = recurrent;
          config->network.readout_tau = readout_tau;
        }
        const Learned by_steps = learned(backend, steps), by_sequence = learned(backend, sequence);
        const Learned expected = by_hand(backend, steps, 1), whole = by_hand(backend, sequence, 4);
        CHECK(difference(by_steps, expected) < 1e-6);
        CHECK(by_steps.loss == Approx(expected.loss).epsilon(1e-5));
        CHECK(by_steps.correct == expected.correct);
        CHECK(difference(by_sequence, whole) < 1e-6);
        CHECK(by_sequence.loss == Approx(whole.loss).epsilon(1e-5));
        CHECK(by_sequence.correct == whole.correct);
        CHECK(difference(by_steps, by_sequence) > 1e-4);
        CHECK(difference(learned(backend, eprop), by_hand(backend, eprop, 4)) < 1e-6);
        if (readout_tau != 0.0F) continue;
        eprop.training.update = TrainingSettings::Update::step;
        CHECK(difference(learned(backend, eprop), by_hand(backend, eprop, 1)) < 1e-6);
      }
    }
  });
}

TEST_CASE("memory of online rules does not grow with time, and what is learned is the same", "[trainer]") {
  on_each_backend([](Backend& backend) {
    for (const std::string rule : {"ottt", "eprop"}) {
      for (const bool recurrent : {false, true}) {
        INFO(rule << ", recurrent " << recurrent);
        Config sequence = config_of(rule, "sequence");
        sequence.network.recurrent = recurrent;
        sequence.clock.steps = 120;
        Trainer trainer(backend, sequence, {.height = 8, .width = 8}, 10);
        CHECK(trainer.engine().most_at_once() == 50);
        const Learned by_runs = learned(backend, sequence), expected = by_hand(backend, sequence, 120, 1);
        CHECK(difference(by_runs, expected) < 1e-6);
        CHECK(by_runs.loss == Approx(expected.loss).epsilon(1e-5));
        CHECK(by_runs.correct == expected.correct);
        Config steps = sequence;
        steps.training.update = TrainingSettings::Update::step;
        CHECK(difference(learned(backend, steps), by_hand(backend, steps, 1)) < 1e-5);
        sequence.clock.steps = 50;
        CHECK(difference(learned(backend, sequence), by_hand(backend, sequence, 50)) < 1e-6);
      }
    }
  });
  const auto cpu = make_backend("cpu", 1);
  Config bptt = config_of("bptt", "sequence");
  bptt.clock.steps = 120;
  CHECK(Trainer(*cpu, bptt, {.height = 8, .width = 8}, 10).engine().most_at_once() == 120);
}

TEST_CASE("changes of weights over several runs are projected as those of one", "[trainer]") {
  const auto cpu = make_backend("cpu", 1);
  for (const std::string neurons : {"linear", "quantised"}) {
    for (const std::string optimiser : {"sgd", "adam"}) {
      if (neurons == "quantised" && optimiser == "adam") continue;  // refused
      INFO(neurons << ", " << optimiser);
      Config config = config_of("ottt", "sequence");
      config.set("neuron.steps", "120");
      config.set("protection.name", "hlop");
      config.set("hlop.ranks", "10");
      config.set("hlop.orthonormalise", "true");
      config.set("hlop.lateral_neurons", neurons);
      if (neurons == "quantised") config.set("hlop.lateral_steps", "1000");
      config.set("optimiser.name", optimiser);
      if (optimiser == "adam") config.set("optimiser.learning_rate", "0.001");
      const ShownSet images(*cpu, digit_images().train, batch);
      Trainer trainer(*cpu, config, {.height = 8, .width = 8}, 10);
      const auto samples = uploaded(*cpu, numbers(batch)), pixel_order = uploaded(*cpu, numbers(64));
      auto loss = cpu->allocate<double>(1);
      auto correct = cpu->allocate<std::uint32_t>(1);
      std::vector<std::vector<float>> rows_of_first;
      for (std::size_t task = 0; task < 2; ++task) {
        std::vector<std::vector<float>> before;
        for (const Projection& projection : trainer.network().projections())
          before.push_back(downloaded(*cpu, projection.weights));
        trainer.begin_task(task, {.epochs = 1, .updates_per_epoch = 1});
        images.train(trainer, samples.view(), pixel_order.view(), loss.view(), correct.view());
        trainer.end_task();
        for (std::size_t p = 0; p < before.size(); ++p) {
          if (task == 0) {
            rows_of_first.push_back(cpu->download(trainer.protection().subspace(p)->rows().values));
            continue;
          }
          const Projection& projection = trainer.network().projections()[p];
          const std::vector<float> after = downloaded(*cpu, projection.weights);
          const std::vector<float>& rows = rows_of_first[p];
          // What the rows of the first task see of the change, in parts of the change.
          double seen = 0, change = 0;
          for (std::size_t j = 0; j < projection.targets(); ++j) {
            for (std::size_t k = 0; k < rows.size() / projection.sources(); ++k) {
              double sum = 0;
              for (std::size_t i = 0; i < projection.sources(); ++i) {
                const std::size_t at = i * projection.targets() + j;
                sum += rows[k * projection.sources() + i] * (static_cast<double>(after[at]) - before[p][at]);
              }
              seen += sum * sum;
            }
          }
          for (std::size_t i = 0; i < after.size(); ++i)
            change += std::pow(static_cast<double>(after[i]) - before[p][i], 2);
          INFO("projection " << p);
          CHECK(change > 0);
          CHECK(seen < (neurons == "linear" ? 1e-8 : 0.05) * change);
        }
      }
    }
  }
}

TEST_CASE("weights and thresholds that are not finite are found, the largest weight is named", "[trainer]") {
  on_each_backend([](Backend& backend) {
    Config config = config_of("dsr", "sequence");
    config.set("neuron.model", "lif_dsr");
    config.set("feedback.name", "adaptive_broadcast");
    Trainer trainer(backend, config, {.height = 8, .width = 8}, 10);
    CHECK(trainer.all_finite());
    const auto broken = [&](View<float> values, float value) {
      std::vector<float> numbers = backend.download(View<const float>(values));
      const float before = std::exchange(numbers.back(), value);
      backend.upload(std::span<const float>(numbers), values);
      const std::pair found(trainer.all_finite(), trainer.largest_weight());
      numbers.back() = before;
      backend.upload(std::span<const float>(numbers), values);
      return found;
    };
    constexpr float inf = std::numeric_limits<float>::infinity(),
                    nan = std::numeric_limits<float>::quiet_NaN();
    const View<float> weights = trainer.network().projections()[1].weights.view();
    CHECK(broken(weights, inf) == std::pair(false, std::string("inf, of hidden1_to_hidden2")));
    CHECK(broken(weights, -inf) == std::pair(false, std::string("inf, of hidden1_to_hidden2")));
    CHECK(broken(weights, nan) == std::pair(false, std::string("inf, of hidden1_to_hidden2")));
    CHECK(broken(weights, -3e37F) == std::pair(true, std::string("3e+37, of hidden1_to_hidden2")));
    CHECK(broken(trainer.feedback().learned_weights(1).values, nan) ==
          std::pair(false, std::string("inf, of the feedback weights of hidden1_to_hidden2")));
    CHECK_FALSE(broken(trainer.network().populations()[2].neuron->threshold(), nan).first);
    CHECK(trainer.all_finite());
  });
}

TEST_CASE("thresholds, gains and offsets follow the gradient of each batch alone", "[trainer]") {
  on_each_backend([](Backend& backend) {
    Config config;
    config.network.layers = {"20", "bn", "lif"};
    config.training.batch_size = batch;
    config.set("protection.name", "none");
    config.schedule.learning_rates = {1e-4F};  // so that the gradient stays what it was
    Trainer trainer(backend, config, {.height = 8, .width = 8}, 10);
    const ShownSet images(backend, digit_images().train, batch);
    const auto samples = uploaded(backend, numbers(batch)), pixel_order = uploaded(backend, numbers(64));
    Array<double> loss = backend.allocate<double>(1);
    Array<std::uint32_t> correct = backend.allocate<std::uint32_t>(1);
    Population& hidden = trainer.network().populations()[1];
    trainer.begin_task(0, {.epochs = 1, .updates_per_epoch = 3});
    std::vector<std::vector<float>> states;
    for (std::size_t updates = 0; updates < 4; ++updates) {
      std::vector<float>& state = states.emplace_back();
      for (const View<float> values :
           {hidden.neuron->threshold(), hidden.normalisation->gain(), hidden.normalisation->offset()}) {
        const std::vector<float> now = backend.download(View<const float>(values));
        state.insert(state.end(), now.begin(), now.end());
      }
      images.train(trainer, samples.view(), pixel_order.view(), loss.view(), correct.view());
    }
    double largest = 0, apart = 0;
    for (std::size_t i = 0; i < states[0].size(); ++i) {
      const double first = states[1][i] - states[0][i], third = states[3][i] - states[2][i];
      largest = std::max(largest, std::abs(first));
      apart = std::max(apart, std::abs(third - first));
    }
    CHECK(largest > 1e-6);
    CHECK(apart < 0.2 * largest);
  });
}

TEST_CASE("images with moments of their own are scaled by these, others by those of the config",
          "[trainer]") {
  const auto backend = make_backend("cpu", 1);
  const ShownSet images(*backend, digit_images().train, batch);
  const auto samples = uploaded(*backend, numbers(batch)), pixel_order = uploaded(*backend, numbers(64));
  const auto input = [&](float mean, float deviation, std::optional<PixelMoments> own) {
    Config config = config_of("bptt", "sequence");
    config.data.mean = mean;
    config.data.deviation = deviation;
    Trainer trainer(*backend, config, {.height = 8, .width = 8}, 10);
    ShownImages shown = images.in(pixel_order.view());
    shown.moments = own;
    trainer.run_batch(shown, samples.view());
    return backend->download(trainer.engine().activity(0).mean_output.values);
  };
  CHECK(input(0.1F, 0.5F, PixelMoments{0.3F, 0.25F}) == input(0.3F, 0.25F, std::nullopt));
  CHECK(input(0.1F, 0.5F, std::nullopt) != input(0.3F, 0.25F, std::nullopt));
}

TEST_CASE("where only the read-out is trained all else stays, but for averages of normalisations",
          "[trainer]") {
  const auto backend = make_backend("cpu", 1);
  Config config;
  config.network.layers = {"4c3", "bn", "lif", "p2", "20", "lif"};
  config.network.biases = LayeredNetwork::Biases::readout;
  config.training.batch_size = batch;
  config.set("training.trained", "readout");
  config.set("protection.name", "none");
  Trainer trainer(*backend, config, {.height = 8, .width = 8}, 10);
  Network& network = trainer.network();
  const ShownSet images(*backend, digit_images().train, batch);
  const auto samples = uploaded(*backend, numbers(batch)), pixel_order = uploaded(*backend, numbers(64));
  Array<double> loss = backend->allocate<double>(1);
  Array<std::uint32_t> correct = backend->allocate<std::uint32_t>(1);
  const auto state = [&] {
    std::map<std::string, std::vector<float>> values;
    for (const Projection& projection : network.projections())
      values[projection.name] = downloaded(*backend, projection.weights);
    for (const Population& population : network.populations()) {
      if (population.neuron == nullptr) continue;
      values[population.name] = backend->download(View<const float>(population.neuron->threshold()));
    }
    Normalisation& normalisation = *network.populations()[2].normalisation;
    values["gain"] = backend->download(View<const float>(normalisation.gain()));
    values["mean"] = backend->download(View<const float>(normalisation.mean()));
    return values;
  };
  const auto before = state();
  trainer.begin_task(0, {.epochs = 1, .updates_per_epoch = 1});
  images.train(trainer, samples.view(), pixel_order.view(), loss.view(), correct.view());
  for (const auto& [name, values] : state()) {
    INFO(name);
    const bool learns = name == "hidden2_to_readout" || name == "bias_to_readout" || name == "mean";
    CHECK((values != before.at(name)) == learns);
  }
}

TEST_CASE("rules, neurons and networks that do not fit are refused in one sentence", "[trainer]") {
  const std::string lif = "--neuron.model=lif", bptt = "--rule.name=bptt", ottt = "--rule.name=ottt",
                    eprop = "--rule.name=eprop", recurrent = "--network.recurrent=true",
                    ranks = "--hlop.ranks=8";
  CHECK(refusal({lif, bptt}).empty());
  CHECK(refusal({lif, bptt, recurrent, ranks}).empty());
  CHECK(refusal({lif, ottt, recurrent, ranks, "--rule.update=step", "--network.readout_tau=1"}).empty());
  CHECK(refusal({"--neuron.model=alif", eprop, recurrent, ranks, "--network.readout_tau=1"}).empty());

  CHECK(refusal({bptt}) ==
        "rule.name: the rule bptt needs surrogate derivatives; set neuron.model to " +
            alternatives(neuron_models_with(&NeuronModel::Traits::has_surrogate_derivative)));
  const std::string averaging = alternatives(neuron_models_with(&NeuronModel::Traits::has_weighted_averages));
  CHECK(refusal({lif}) ==
        "rule.name: the rule dsr differentiates " + averaging + " neurons; set neuron.model to " + averaging);
  CHECK(refusal({"--rule.name=stdp"}) ==
        "rule.name: the rules stdp and rstdp pair spikes of height 1; set neuron.model to " +
            alternatives(neuron_models_with(&NeuronModel::Traits::has_weighted_averages, false)));
  CHECK(refusal({recurrent}) == "rule.name: the rule dsr is for networks without recurrent projections");
  const std::string step = "--rule.update=step", decolle = "--rule.name=decolle";
  const auto needs_later_steps = [](const std::string& rule) {
    return "rule.update: gradients of the rule " + rule +
           " need later steps here, so that weights can only change after the whole sequence";
  };
  CHECK(refusal({lif, bptt, step}) == needs_later_steps("bptt"));
  CHECK(refusal({lif, eprop, step}).empty());
  CHECK(refusal({lif, eprop, step, "--network.readout_tau=1"}) == needs_later_steps("eprop"));
  CHECK(refusal({"--neuron.model=alif", eprop, step}) == needs_later_steps("eprop"));
  CHECK(refusal({lif, decolle, step, "--network.readout_tau=1"}).empty());
  CHECK(refusal({"--neuron.model=alif", decolle, step}) == needs_later_steps("decolle"));
  CHECK(refusal({"--rule.update=step"}) == needs_later_steps("dsr"));
  const std::string bn = "--network.layers=9, bn, lif";
  CHECK(refusal({bn, "--hlop.ranks=4"}).empty());
  CHECK(
      refusal({lif, bptt, bn, recurrent, ranks}) ==
      "network.recurrent: populations whose currents are normalised, or end a block, have no projection onto "
      "themselves here");
  CHECK(refusal({bn, "--federated.clients=3", "--hlop.ranks=4"}) ==
        "normalisation.statistics: clients have statistics of their own, which no average joins; use frozen");
  CHECK(
      refusal({bn, "--federated.clients=3", "--hlop.ranks=4", "--normalisation.statistics=frozen"}).empty());
  CHECK(refusal({"--rule.update=x"}) == "command line: rule.update: 'x' is not one of sequence, step");
  CHECK(refusal({lif, bptt, "--rule.surrogate=x"}) ==
        "command line: rule.surrogate: 'x' is not one of sigmoid, arctan, fast_sigmoid, triangle");
  CHECK(refusal({lif, bptt, "--neuron.reset=x"}) ==
        "command line: neuron.reset: 'x' is not one of soft, hard");
  CHECK(refusal({lif, bptt, "--network.readout_tau=0.01"}) ==
        "network.readout_tau: 0.01 is shorter than neuron.dt, 0.05");
  CHECK(
      refusal({"--neuron.model=alif", bptt, "--neuron.reset=hard", "--rule.detached_reset=false"}) ==
      "rule.detached_reset: errors through such a reset of these neurons are not defined; leave it at true");
}

TEST_CASE("keys that the chosen rule or neurons do not read are refused", "[trainer]") {
  const std::string lif = "--neuron.model=lif", bptt = "--rule.name=bptt";
  const std::string place = "command line: ", only = ": it is read only with ";
  CHECK(refusal({"--network.readout_tau=1"}) ==
        place + "network.readout_tau" + only + "rules whose read-out may leak; leave it at 0");
  CHECK(refusal({"--rule.surrogate=arctan"}) ==
        place + "rule.surrogate" + only + "rule.name bptt, ottt, eprop, decolle; leave it at sigmoid");
  CHECK(refusal({"--protection.name=none", "--protection.stride=2"}) ==
        place + "protection.stride" + only + "protections that observe activity; leave it at 1");
  CHECK(refusal({"--protection.name=owm", "--protection.stride=2"}).empty());
  CHECK(refusal({"--rule.slope=2"}) ==
        place + "rule.slope" + only + "rule.name bptt, ottt, eprop, decolle; leave it at 4");
  for (const std::string rule : {"dsr", "ottt", "eprop"}) {
    CHECK(refusal({rule == "dsr" ? "--neuron.model=lif_dsr" : lif, "--rule.name=" + rule,
                   "--rule.detached_reset=false"}) ==
          place + "rule.detached_reset" + only + "rule.name bptt; leave it at true");
  }
  CHECK(refusal({lif, bptt, "--rule.detached_reset=false"}).empty());
  const std::string readers = refusal({"--neuron.reset=hard"});
  CHECK(readers.starts_with(place + "neuron.reset" + only + "neuron.model lif, if, alif"));
  CHECK(readers.ends_with("; leave it at soft"));
  CHECK_FALSE(refusal({"--neuron.synapse_tau=1"}).empty());
  CHECK_FALSE(refusal({lif, bptt, "--neuron.adaptation=1"}).empty());
  CHECK_FALSE(refusal({lif, bptt, "--neuron.adaptation_tau=1"}).empty());
  for (const std::string model : {"lif", "if", "alif"}) {
    CHECK_FALSE(refusal({"--neuron.model=" + model, bptt, "--neuron.firing_fraction=0.5"}).empty());
    CHECK_FALSE(refusal({"--neuron.model=" + model, bptt, "--neuron.lowest_threshold=0.5"}).empty());
    CHECK(refusal({"--neuron.model=" + model, bptt, "--neuron.tau=2"}).empty() == (model != "if"));
  }
}

}  // namespace orthospike::testing
