#include "learning/experiment.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/error.hpp"
#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike {
namespace {

struct Silent final : ExperimentObserver {
  void warn(const std::string& sentence) override { warnings.push_back(sentence); }
  void training(std::size_t, std::size_t, std::size_t, std::size_t, double, double) override { ++reports; }
  void evaluated(const AccuracyMatrix&, std::size_t) override { ++evaluations; }

  std::vector<std::string> warnings;
  std::size_t reports = 0;
  std::size_t evaluations = 0;
};

/// Four permuted tasks of real 8×8 digits, learned in a second.
Config digits() {
  Config config;
  config.data.mean = 0.287F;
  config.data.deviation = 0.354F;
  config.tasks.count = 4;
  config.tasks.epochs = 2;
  config.network.hidden = {128, 128};
  config.hlop.ranks = "24,40,30; 10";
  config.hebbian.learning_rate = {0.01F};
  config.metrics.quality_samples = 200;
  config.run.device = "cpu";
  config.run.threads = 1;  // two wait for each other on a machine that is busy otherwise
  return config;
}

const ImageData& digit_images() {
  static const ImageData data = read_image_data(ORTHOSPIKE_TEST_DATA "/optdigits");
  return data;
}

RunRecord run(const Config& config, const TemporaryFolder& folder) {
  Silent observer;
  return run_experiment(config, digit_images(), folder.path(), observer);
}

/// Everything that must not depend on the number of threads, bit for bit.
bool same_results(const RunRecord& a, const RunRecord& b) {
  const auto& left = a.accuracy.values();
  const auto& right = b.accuracy.values();
  bool same = std::memcmp(left.data(), right.data(), left.size() * sizeof(double)) == 0;
  for (std::size_t k = 0; k < a.reports.size(); ++k) {
    for (std::size_t p = 0; p < a.projections.size(); ++p) {
      // The leak is computed from the final weights: a single different bit in them changes it.
      same = same && std::memcmp(&a.reports[k][p].leak, &b.reports[k][p].leak, sizeof(double)) == 0;
      same = same && a.reports[k][p].explained_energy == b.reports[k][p].explained_energy;
    }
  }
  return same;
}

TEST_CASE("protected by hlop, digits are kept; unprotected, they are forgotten") {
  const TemporaryFolder folder;
  const RunRecord kept = run(digits(), folder);
  CHECK(kept.accuracy.average_accuracy(4) > 0.84);
  CHECK(kept.accuracy.backward_transfer(4) > -0.07);
  CHECK(kept.accuracy.learning_accuracy(4) > 0.87);

  const TemporaryFolder other;
  Config config = digits();
  config.protection.name = "none";
  const RunRecord lost = run(config, other);
  CHECK(lost.accuracy.learning_accuracy(4) > 0.87);
  CHECK(lost.accuracy.backward_transfer(4) < -0.20);

  for (std::size_t k = 1; k < 4; ++k) {
    for (std::size_t p = 0; p < 3; ++p) {
      CHECK(kept.reports[k][p].leak < 0.5 * lost.reports[k][p].leak);
      CHECK(kept.reports[k][p].explained_energy > 0.8);
    }
  }
}

TEST_CASE("lateral neurons of 40 steps keep digits about as linear ones do") {
  const TemporaryFolder folder;
  const RunRecord linear = run(digits(), folder);
  for (const std::string neurons : {"quantised", "spiking"}) {
    INFO(neurons);
    const TemporaryFolder other;
    Config config = digits();
    config.hlop.lateral_neurons = neurons;
    const RunRecord record = run(config, other);
    CHECK(record.accuracy.backward_transfer(4) == Approx(linear.accuracy.backward_transfer(4)).margin(0.02));
    CHECK(record.accuracy.average_accuracy(4) == Approx(linear.accuracy.average_accuracy(4)).margin(0.03));
    CHECK_FALSE(same_results(record, linear));
  }
}

TEST_CASE("the same seed gives the same bits with 1 and 2 threads, another seed others") {
  Config config = digits();
  config.tasks.count = 2;
  const TemporaryFolder one, two, three;
  config.run.threads = 1;
  const RunRecord serial = run(config, one);
  config.run.threads = 2;
  const RunRecord parallel = run(config, two);
  CHECK(same_results(serial, parallel));
  config.experiment.seed += 1;
  CHECK_FALSE(same_results(serial, run(config, three)));
}

TEST_CASE("the reference back end learns the same within rounding") {
  Config config = digits();
  config.tasks.count = 2;
  config.tasks.epochs = 1;
  config.tasks.train_samples = 256;
  config.tasks.test_samples = 200;
  const TemporaryFolder one, two;
  const RunRecord fast = run(config, one);
  config.run.device = "reference";
  const RunRecord reference = run(config, two);
  CHECK(fast.accuracy.average_accuracy(2) == Approx(reference.accuracy.average_accuracy(2)).margin(0.03));
}

TEST_CASE("delivery by events and by dense products learns the same within rounding") {
  Config config = digits();
  config.tasks.count = 1;
  config.tasks.epochs = 1;
  const TemporaryFolder one, two;
  config.network.delivery = "events";
  const RunRecord events = run(config, one);
  config.network.delivery = "dense";
  const RunRecord dense = run(config, two);
  CHECK(events.accuracy.average_accuracy(1) == Approx(dense.accuracy.average_accuracy(1)).margin(0.03));
}

TEST_CASE("after the first task thresholds stay as they are") {
  const auto backend = make_backend("cpu", 1);
  Config config = digits();
  config.neuron.threshold = 0.02F;  // low enough for neurons to saturate: only those change their threshold
  const ImageData& data = digit_images();
  const StoredImages images(*backend, data.train, 64);
  Trainer trainer(*backend, config, 64, 10);
  std::vector<std::uint32_t> order(64);
  for (std::uint32_t i = 0; i < 64; ++i) order[i] = i;
  Array<std::uint32_t> samples = backend->allocate<std::uint32_t>(64);
  backend->upload(std::span<const std::uint32_t>(order), samples.view());
  Array<double> loss = backend->allocate<double>(1);
  Array<std::uint32_t> correct = backend->allocate<std::uint32_t>(1);
  const auto thresholds = [&] {
    std::vector<float> values;
    for (const Population& population : std::as_const(trainer.network()).populations()) {
      if (population.neuron == nullptr) continue;
      const NeuronModel& neuron = *population.neuron;
      values.push_back(backend->download(neuron.threshold())[0]);
    }
    return values;
  };
  const auto train = [&] {
    for (int i = 0; i < 5; ++i) {
      trainer.train_batch(images, samples.view(), samples.view(), loss.view(), correct.view());
    }
  };

  const auto initial = thresholds();
  trainer.begin_task(0);
  train();
  trainer.end_task();
  const auto learned = thresholds();
  CHECK(learned != initial);
  const std::vector<float> frozen_rows = backend->download(trainer.protection().subspace(1)->rows().values);

  trainer.begin_task(1);
  train();
  CHECK(thresholds() == learned);
  const std::vector<float> rows = backend->download(trainer.protection().subspace(1)->rows().values);
  CHECK(std::memcmp(rows.data(), frozen_rows.data(), frozen_rows.size() * sizeof(float)) == 0);
  CHECK(rows.size() > frozen_rows.size());
}

TEST_CASE("ranks above the presynaptic size are capped with a warning") {
  Config config = digits();
  config.tasks.count = 2;
  config.tasks.epochs = 1;
  config.tasks.train_samples = 128;
  config.hlop.ranks = "60,10,10; 60,10,10";
  const TemporaryFolder folder;
  Silent observer;
  const RunRecord record = run_experiment(config, digit_images(), folder.path(), observer);
  REQUIRE(observer.warnings.size() == 1);
  CHECK(observer.warnings[0].find("input_to_hidden1") != std::string::npos);
  CHECK(record.reports[0][0].rank == 60);
  CHECK(record.reports[1][0].rank == 64);
  CHECK(observer.evaluations == 3);
}

TEST_CASE("training that diverges is one clear error and leaves no run.h5") {
  Config config = digits();
  config.optimiser.learning_rate = 1e30F;
  const TemporaryFolder folder;
  CHECK_THROWS_AS(run(config, folder), EnvironmentError);
  CHECK_FALSE(std::filesystem::exists(folder.path() / RunFile::name));
}

TEST_CASE("unknown names are refused before anything is written") {
  for (const std::string name :
       {"rule.name", "feedback.name", "protection.name", "hlop.extractor", "hlop.lateral_neurons",
        "optimiser.name", "neuron.model", "run.device", "network.delivery", "tasks.sequence", "hlop.ranks"}) {
    INFO(name);
    Config config = digits();
    std::ranges::find(config_keys(), name, &ConfigKey::name)->set(config, "x");
    const TemporaryFolder folder;
    CHECK_THROWS_AS(run(config, folder), ConfigError);
    CHECK(std::filesystem::is_empty(folder.path()));
  }
}

}  // namespace
}  // namespace orthospike
