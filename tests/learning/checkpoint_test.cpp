#include "learning/checkpoint.hpp"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "kernels/error.hpp"
#include "learning/experiment.hpp"
#include "learning/weights_file.hpp"
#include "tests/catch.hpp"
#include "tests/learning/shown_set.hpp"
#include "tests/same_numbers.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {
namespace {

/// Wants to stop whenever it was asked so often.
struct Stopping final : ExperimentObserver {
  explicit Stopping(std::size_t asked_most = 0) : asks(asked_most) {}

  void begins(const std::vector<TaskDescription>&) override {}
  void warn(const std::string& sentence) override { warnings.push_back(sentence); }
  void training(const TrainingReport&) override {}
  void evaluated(const AccuracyMatrix&, std::size_t) override {}
  void goes_on(const std::string& sentence) override { from = sentence; }
  bool wants_to_stop() override { return asks > 0 && --asks == 0; }

  std::size_t asks;
  std::vector<std::string> warnings;
  std::string from;
};

/// So few test samples that an evaluation asks less often than the observers below want to stop.
ImageData few_digits() {
  ImageData data = digit_images();
  data.test.count = 32;
  data.test.pixels.resize(32 * 64);
  data.test.labels.resize(32);
  return data;
}

using Settings = std::vector<std::pair<std::string, std::string>>;

Config three_tasks(const Settings& settings = {}) {
  Config config;
  config.data.mean = 0.287F;
  config.data.deviation = 0.354F;
  config.set("tasks.count", "3");
  config.set("tasks.train_samples", "96");
  config.tasks.epochs = {2};
  config.network.hidden = {20, 15};
  config.training.batch_size = 16;
  config.clock.steps = 6;
  config.clock.dt = 0.1F;
  config.metrics.quality_samples = 30;
  config.run.device = "cpu";
  config.run.threads = 1;
  for (const auto& [key, value] : settings) config.set(key, value);
  return config;
}

void check_same_run(const std::filesystem::path& a, const std::filesystem::path& b) {
  CHECK(different_numbers(a / RunFile::name, b / RunFile::name) == std::vector<std::string>());
  TrainedNetwork trained = read_weights(a / weights_name);
  trained.path = b / weights_name;
  trained.config.clear();
  TrainedNetwork other = read_weights(b / weights_name);
  other.config.clear();  // says how many threads there were
  CHECK(trained == other);
}

/// Runs the config, ends it whenever it asked so often and goes on, with other numbers of threads. How often it went on.
std::size_t run_with_interruptions(Config config, const std::filesystem::path& folder, std::size_t asks) {
  for (std::size_t starts = 0;; ++starts) {
    config.run.threads = 1 + starts % 2;
    Stopping observer(asks);
    try {
      run_experiment(config, {few_digits()}, folder, observer);
      CHECK(observer.from.empty() == (starts == 0));
      return starts;
    } catch (const Interrupted& interrupted) {
      CHECK_FALSE(std::filesystem::exists(folder / RunFile::name));
      CHECK(std::string(interrupted.what()).find("task") != std::string::npos);
    }
  }
}

void check_goes_on(const Settings& settings) {
  std::string what;
  for (const auto& [key, value] : settings) what += fmt::format("{} = {}  ", key, value);
  INFO(what);
  const Config config = three_tasks(settings);
  const TemporaryFolder whole, interrupted;
  Stopping never;
  run_experiment(config, {few_digits()}, whole.path(), never);
  CHECK(run_with_interruptions(config, interrupted.path(), 7) > 3);
  check_same_run(whole.path(), interrupted.path());
}

}  // namespace

TEST_CASE("every part goes on from a checkpoint as if nothing had interrupted it", "[checkpoint][long]") {
  const Settings lif{{"neuron.model", "lif"}, {"rule.name", "bptt"}};
  const auto with = [](Settings settings, const Settings& more) {
    settings.insert(settings.end(), more.begin(), more.end());
    return settings;
  };
  for (const std::string& rule : rules().names())
    check_goes_on(
        {{"neuron.model", rule == "dsr" ? "lif_dsr" : "lif"}, {"rule.name", rule}, {"hlop.ranks", "3"}});
  for (const std::string& neuron : neuron_models().names()) {
    check_goes_on({{"neuron.model", neuron},
                   {"rule.name", neuron == "lif_dsr" ? "dsr" : "bptt"},
                   {"protection.name", "none"}});
  }
  for (const std::string& feedback : error_feedbacks().names())
    check_goes_on(with(lif, {{"feedback.name", feedback}, {"protection.name", "leaky"}}));
  for (const std::string& protection : protections().names()) {
    check_goes_on({{"protection.name", protection}});
    check_goes_on({{"protection.name", protection == "none" ? "replay" : protection + "+replay"},
                   {"replay.batch_size", "8"}});
  }
  for (const std::string& optimiser : optimisers().names()) {
    check_goes_on({{"protection.name", "leaky"}, {"optimiser.name", optimiser}});
    check_goes_on({{"protection.name", "replay"}, {"optimiser.name", optimiser}, {"replay.batch_size", "8"}});
  }
  for (const std::string& extractor : extractors().names())
    check_goes_on({{"hlop.extractor", extractor}, {"hlop.ranks", "3"}});
  for (const std::string& neurons : lateral_neurons().names())
    check_goes_on({{"hlop.lateral_neurons", neurons}, {"hlop.ranks", "3"}});
}

TEST_CASE("forms that parts have go on from a checkpoint, too", "[checkpoint]") {
  for (const Settings& settings : std::vector<Settings>{
           {{"optimiser.momentum", "0.9"}, {"optimiser.schedule", "cosine"}},
           {{"protection.name", "leaky"}, {"leaky.consolidation", "slow"}, {"leaky.refresh", "4"}},
           {{"protection.name", "leaky"}, {"leaky.form", "circuit"}},
           {{"protection.name", "leaky"}, {"leaky.form", "circuit"}, {"leaky.lateral_neurons", "spiking"}},
           {{"protection.name", "leaky_lowrank"}, {"leaky.growth_batches", "5"}, {"leaky.growth", "3"}},
           {{"protection.name", "kfac"}, {"kfac.directions", "4"}},
           {{"protection.name", "kfac"}, {"kfac.form", "separable"}},
           {{"protection.name", "kfac"}, {"kfac.form", "circuit"}},
           {{"protection.name", "kfac"}, {"kfac.form", "circuit"}, {"kfac.lateral_neurons", "spiking"}},
           {{"neuron.model", "lif"},
            {"rule.name", "eprop"},
            {"feedback.name", "adaptive_broadcast"},
            {"protection.name", "kfac"}},
           {{"protection.name", "joint"}},
           {{"network.bias", "all"}, {"hlop.ranks", "3"}},
           {{"network.layers", "4c3, bn, lif, p2, 9, lif"}, {"protection.name", "leaky_lowrank"}},
           {{"network.layers", "8c3, block8, block9s2, bn, lif, p4"}, {"protection.name", "gpm"}},
           {{"network.layers", "9, bn, lif"},
            {"neuron.model", "lif"},
            {"rule.name", "bptt"},
            {"normalisation.statistics", "each_step"},
            {"protection.name", "leaky"}},
           {{"federated.clients", "3"}, {"protection.name", "leaky"}},
           {{"federated.clients", "3"}, {"federated.protected", "steps"}, {"optimiser.momentum", "0.9"}},
           {{"federated.clients", "4"}, {"federated.split", "class"}, {"protection.name", "joint"}},
           {{"tasks.boundaries", "hidden"}, {"boundaries.distance", "4"}, {"protection.name", "leaky"}},
           {{"tasks.boundaries", "hidden"}, {"boundaries.distance", "4"}, {"hlop.ranks", "3; 2; 1"}},
           {{"tasks.boundaries", "hidden"}, {"boundaries.distance", "4"}, {"boundaries.threshold", "0.5"}},
           {{"tasks.mixing", "0.2"}, {"protection.name", "leaky"}},
           {{"neuron.model", "lif"}, {"rule.name", "ottt"}, {"rule.update", "step"}},
           {{"neuron.model", "lif"},
            {"rule.name", "eprop"},
            {"feedback.name", "adaptive_broadcast"},
            {"optimiser.weight_decay", "0.01"},
            {"protection.name", "none"}}}) {
    check_goes_on(settings);
  }
}

}  // namespace orthospike::testing
