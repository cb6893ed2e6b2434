#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "kernels/error.hpp"
#include "learning/experiment.hpp"
#include "learning/subspaces/extractor.hpp"
#include "learning/trainer.hpp"
#include "tests/conformance/backends.hpp"
#include "tests/learning/shown_set.hpp"
#include "tests/temporary_folder.hpp"

// Every part is in these tests by being registered.

namespace orthospike::testing {
namespace {

/// The keys of some settings, as they are at the moment.
class Keys final : public SettingsVisitor {
 public:
  explicit Keys(std::map<std::string, std::string> changes = {}) : changes_(std::move(changes)) {}

  std::map<std::string, Key> keys;  ///< without what reads or writes a value
  std::map<std::string, std::string> values;

 private:
  void visit(const Key& key) override {
    if (const auto change = changes_.find(key.name); change != changes_.end()) key.set(change->second);
    INFO(key.name);
    CHECK(keys.emplace(key.name, key).second);
    values[key.name] = key.get();
  }

  std::map<std::string, std::string> changes_;
};

template <class Entry>
Keys keys_of(const Entry& entry, const std::map<std::string, std::string>& changes = {}) {
  std::any settings = entry.defaults;
  Keys keys(changes);
  entry.describe(settings, keys);
  return keys;
}

/// Each key takes other values than its default, which read back, refuses what it should, and is read with some values
/// of the keys before it.
template <class Registry>
void check_settings(const Registry& registry) {
  std::set<std::string> names;
  for (const auto& entry : registry.entries()) {
    INFO(registry.key() << " " << entry.name);
    CHECK(names.insert(entry.name).second);
    const Keys defaults = keys_of(entry);
    for (const auto& [name, key] : defaults.keys) {
      INFO(name);
      CHECK(name.find('.') != std::string::npos);
      CHECK(key.meaning.back() == '.');
      bool differs = key.samples.size() == 1;  // of one word
      for (const std::string& sample : key.samples) {
        INFO(sample);
        const std::string value = keys_of(entry, {{name, sample}}).values.at(name);
        CHECK(keys_of(entry, {{name, value}}).values.at(name) == value);
        differs = differs || value != defaults.values.at(name);
      }
      CHECK(differs);
      if (key.type != "text") CHECK_THROWS_AS(keys_of(entry, {{name, "no such value"}}), ConfigError);
      bool read = key.read;
      for (const auto& [other, its] : defaults.keys) {
        for (const std::string& sample : its.samples)
          read = read || keys_of(entry, {{other, sample}}).keys.at(name).read;
      }
      for (const auto& [one, its] : defaults.keys) {
        for (const auto& [other, others] : defaults.keys) {
          for (std::size_t i = 0; !read && i < its.samples.size() * others.samples.size(); ++i) {
            read = keys_of(entry, {{one, its.samples[i % its.samples.size()]},
                                   {other, others.samples[i / its.samples.size()]}})
                       .keys.at(name)
                       .read;
          }
        }
      }
      CHECK(read);
    }
  }
}

struct Pairing {
  std::string rule, neuron, feedback, protection, optimiser;
  std::vector<std::string> layers{};

  std::string text() const {
    return fmt::format("{}, {}, {}, {}, {}, {} layers", rule, neuron, feedback, protection, optimiser,
                       layers.size());
  }
};

/// Trains two tasks of two batches. Why it is refused; empty where all is finite and every weight matrix changed.
std::string refusal(Backend& backend, const Pairing& pairing) {
  INFO(pairing.text());
  Config config;
  config.network.hidden = {20, 15};
  config.network.layers = pairing.layers;
  if (!pairing.layers.empty()) config.network.biases = LayeredNetwork::Biases::all;
  config.training.batch_size = 16;
  config.clock.steps = 6;
  config.clock.dt = 0.1F;
  try {
    if (pairing.protection == "hlop") config.set("hlop.ranks", "3");
    config.neuron.choose(pairing.neuron);
    config.rule.choose(pairing.rule);
    config.set("feedback.name", pairing.feedback);
    config.set("protection.name", pairing.protection);
    config.optimiser.choose(pairing.optimiser);
    Trainer trainer(backend, config, {.height = 8, .width = 8}, 10);
    const ShownSet images(backend, digit_images().train, 64);
    std::vector<std::uint32_t> numbers(64), order(64);
    for (std::uint32_t i = 0; i < 64; ++i) numbers[i] = order[i] = i;
    const auto samples = uploaded(backend, numbers);
    Array<double> loss = backend.allocate<double>(1);
    Array<std::uint32_t> correct = backend.allocate<std::uint32_t>(1);
    std::vector<std::vector<float>> before;
    for (const Projection& projection : trainer.network().projections())
      before.push_back(downloaded(backend, projection.weights));
    const auto normalisations = [&] {
      std::vector<std::vector<float>> values;
      for (const Population& population : trainer.network().populations()) {
        if (population.normalisation == nullptr) continue;
        Normalisation& its = *population.normalisation;
        for (const View<float> of_channels : {its.mean(), its.variance(), its.gain(), its.offset()})
          values.push_back(backend.download(View<const float>(of_channels)));
      }
      return values;
    };
    std::vector<std::vector<float>> normalised = normalisations();
    for (const std::size_t task : {0U, 1U}) {
      const auto pixels = uploaded(backend, order);
      trainer.begin_task(task, {.epochs = 1, .updates_per_epoch = 2});
      for (const std::size_t batch : {0U, 1U})
        images.train(trainer, samples.view().subview(16 * batch, 16), pixels.view(), loss.view(),
                     correct.view());
      trainer.end_task();
      std::ranges::reverse(order);
      // They learn in the first task; rules without errors have nothing to teach gains and offsets by.
      const bool has_errors = pairing.rule != "stdp" && pairing.rule != "rstdp";
      const std::vector<std::vector<float>> now = normalisations();
      for (std::size_t i = 0; i < now.size(); ++i) {
        INFO("normalisation, numbers " << i << ", task " << task);
        CHECK((now[i] != normalised[i]) == (task == 0 && (i % 4 < 2 || has_errors)));
      }
      normalised = now;
    }
    CHECK(trainer.all_finite());
    for (std::size_t p = 0; p < before.size(); ++p) {
      INFO("projection " << p);
      CHECK(downloaded(backend, trainer.network().projections()[p].weights) != before[p]);
    }
  } catch (const ConfigError& error) {
    const std::string sentence = error.what();
    CHECK(sentence.find(": ") != std::string::npos);
    return sentence;
  }
  return "";
}

}  // namespace

TEST_CASE("settings of every part take other values and refuse what is none", "[parts]") {
  check_settings(neuron_models());
  check_settings(rules());
  check_settings(error_feedbacks());
  check_settings(protections());
  check_settings(optimisers());
  check_settings(extractors());
  check_settings(lateral_neurons());
  check_settings(task_sequences());
}

TEST_CASE("every part that is chosen reads back from a config's text", "[parts]") {
  const TemporaryFolder folder;
  const auto check = [&](const std::string& key, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      INFO(key << " " << name);
      Config config;
      config.set(key, name);
      const std::string text = config_text(config);
      const auto file =
          folder.write("it.ini", {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
      CHECK(config_text(read_config(file, {})) == text);
    }
  };
  check(neuron_models().key(), neuron_models().names());
  check(rules().key(), rules().names());
  check(error_feedbacks().key(), error_feedbacks().names());
  check(protections().key(), protections().names());
  check(optimisers().key(), optimisers().names());
  check(task_sequences().key(), task_sequences().names());
}

TEST_CASE("every pairing of parts trains or is refused in a sentence", "[parts]") {
  const auto backend = make_backend("cpu", 1);
  const std::vector<std::string> convolutions = {"4c3", "bn", "lif", "p2", "6c3s2", "lif", "p2"};
  const std::vector<std::string> blocks = {"8c3", "block8", "block8s2", "bn", "lif", "p2"};
  std::set<std::string> trained;
  std::map<std::string, std::string> neuron_of;  ///< of each rule
  for (const std::string& rule : rules().names()) {
    for (const std::string& neuron : neuron_models().names()) {
      for (const std::string& feedback : error_feedbacks().names()) {
        const Pairing pairing{rule, neuron, feedback, "none", "sgd"};
        if (!refusal(*backend, pairing).empty()) continue;
        const std::string of_maps = refusal(*backend, {rule, neuron, feedback, "none", "sgd", convolutions});
        CHECK((feedback == "adaptive_broadcast" ? of_maps.starts_with("feedback.name: ") : of_maps.empty()));
        if (feedback != "adaptive_broadcast")
          CHECK(refusal(*backend, {rule, neuron, feedback, "none", "sgd", blocks}) == "");
        trained.insert({rule, neuron, feedback});
        neuron_of[rule] = neuron;
      }
    }
  }
  for (const auto& [rule, neuron] : neuron_of) {
    for (const std::string& protection : protections().names()) {
      for (const std::vector<std::string>& layers : {convolutions, blocks})
        CHECK(refusal(*backend, {rule, neuron, "backprop", protection, "sgd", layers}) == "");
      for (const std::string& plan : {protection, protection == "none" ? "replay" : protection + "+replay"}) {
        for (const std::string& optimiser : optimisers().names()) {
          const Pairing pairing{rule, neuron, "backprop", plan, optimiser};
          INFO(pairing.text());
          CHECK(refusal(*backend, pairing) == "");
          trained.insert({protection, optimiser});
        }
      }
    }
  }
  for (const auto& names : {neuron_models().names(), rules().names(), error_feedbacks().names(),
                            protections().names(), optimisers().names()}) {
    for (const std::string& name : names) {
      INFO(name << " is in no pairing that trains");
      CHECK(trained.contains(name));
    }
  }
}

TEST_CASE("every sequence of tasks is trained", "[parts]") {
  struct Silent final : ExperimentObserver {
    void begins(const std::vector<TaskDescription>&) override {}
    void warn(const std::string&) override {}
    void training(const TrainingReport&) override {}
    void evaluated(const AccuracyMatrix&, std::size_t) override {}
  } silent;
  for (const std::string& sequence : task_sequences().names()) {
    INFO(sequence);
    Config config;
    config.set("tasks.sequence", sequence);
    config.set("protection.name", "leaky");
    config.network.hidden = {40};
    config.metrics.quality_samples = 0;
    config.run.device = "cpu";
    config.run.threads = 1;
    const TemporaryFolder folder;
    const RunRecord record = run_experiment(config, {digit_images()}, folder.path(), silent);
    CHECK(record.finished);
    REQUIRE(record.tasks_done == record.accuracy.tasks());
    for (std::size_t task = 1; task <= record.accuracy.tasks(); ++task) {
      INFO("task " << task);
      CHECK(record.costs[task - 1].training_batches > 0);
      CHECK(record.accuracy.at(task, task) > record.accuracy.at(0, task));
    }
  }
}

TEST_CASE("pairings that cannot be are refused", "[parts]") {
  const auto backend = make_backend("cpu", 1);
  const auto refused = [&](const std::string& rule, const std::string& neuron, const std::string& feedback) {
    return refusal(*backend, {rule, neuron, feedback, "none", "sgd"});
  };
  for (const std::string& neuron : neuron_models_with(&NeuronModel::Traits::has_weighted_averages, false))
    CHECK(refused("dsr", neuron, "backprop").starts_with("rule.name"));
  for (const std::string rule : {"bptt", "ottt", "eprop", "decolle", "stdp", "rstdp"})
    CHECK(refused(rule, "lif_dsr", "backprop").starts_with("rule.name"));
  for (const std::string rule : {"decolle", "stdp", "rstdp"})
    CHECK(refused(rule, "lif", "feedback_alignment").starts_with("set: feedback.name"));
}

}  // namespace orthospike::testing
