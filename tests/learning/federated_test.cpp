#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "kernels/error.hpp"
#include "learning/clients.hpp"
#include "learning/experiment.hpp"
#include "learning/weights_file.hpp"
#include "sim/hdf5_file.hpp"
#include "tests/catch.hpp"
#include "tests/learning/shown_set.hpp"
#include "tests/learning/thread_ranks.hpp"
#include "tests/same_numbers.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {
namespace {

struct Quiet final : ExperimentObserver {
  void warn(const std::string&) override {}
  void begins(const std::vector<TaskDescription>&) override {}
  void training(const TrainingReport& report) override { reports.push_back(report); }
  void evaluated(const AccuracyMatrix&, std::size_t) override {}

  std::vector<TrainingReport> reports;
};

Config digits(const std::vector<std::pair<std::string, std::string>>& settings) {
  Config config;
  config.data.mean = 0.287F;
  config.data.deviation = 0.354F;
  config.tasks.epochs = {4};
  config.network.hidden = {64, 64};
  config.metrics.quality_samples = 200;
  config.run.device = "cpu";
  config.run.threads = 1;
  config.set("tasks.count", "3");
  config.set("hlop.ranks", "24,40,30; 10");
  config.set("hebbian.learning_rate", "0.01");
  for (const auto& [key, value] : settings) config.set(key, value);
  return config;
}

RunRecord run(const Config& config, const TemporaryFolder& folder) {
  Quiet observer;
  return run_experiment(config, {digit_images()}, folder.path(), observer);
}

std::vector<double> read(const TemporaryFolder& folder, const std::string& object) {
  const Hdf5File file = Hdf5File::open(folder.path() / RunFile::name);
  return std::visit([](const auto& values) { return std::vector<double>(values.begin(), values.end()); },
                    file.read_values(object));
}

std::string refusal(const std::vector<std::pair<std::string, std::string>>& settings) {
  Config config = digits({{"federated.clients", "3"}});
  for (const auto& [key, value] : settings) config.set(key, value);
  const TemporaryFolder folder;
  try {
    run(config, folder);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("clients hold all samples of a task, each one once, equally many", "[federated]") {
  std::vector<std::uint8_t> labels(103);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::uint8_t>(i % 10);
  const auto classes_of = [&](const FederatedSettings& settings, std::uint32_t stream) {
    const std::vector<std::uint32_t> clients =
        split_among_clients(labels, settings, {1, RandomPurpose::clients, stream});
    std::map<std::uint32_t, std::multiset<std::uint8_t>> held;
    REQUIRE(clients.size() == labels.size());
    for (std::size_t i = 0; i < clients.size(); ++i) held[clients[i]].insert(labels[i]);
    CHECK(held.size() == settings.clients);
    const std::size_t pieces = settings.split == FederatedSettings::Split::random ? 1 : settings.shards;
    for (const auto& [client, its] : held) {
      CHECK(client < settings.clients);
      CHECK(its.size() + pieces >= labels.size() / settings.clients);
      CHECK(its.size() <= labels.size() / settings.clients + pieces);
    }
    std::vector<std::size_t> classes;
    for (const auto& [client, its] : held)
      classes.push_back(std::set<std::uint8_t>(its.begin(), its.end()).size());
    return std::pair{clients, classes};
  };
  FederatedSettings settings{.clients = 5};
  const auto [at_random, many] = classes_of(settings, 0);
  CHECK(std::ranges::min(many) >= 5);
  CHECK(classes_of(settings, 0).first == at_random);
  CHECK(classes_of(settings, 1).first != at_random);
  settings.split = FederatedSettings::Split::by_class;
  const auto [by_class, few] = classes_of(settings, 0);
  CHECK(std::ranges::max(few) <= 4);  // two pieces of about 10 samples, each of two classes at most
  CHECK(classes_of(settings, 1).first != by_class);
  settings.shards = 1;
  CHECK(std::ranges::max(classes_of(settings, 0).second) <= 3);
  settings = {.clients = 103};
  classes_of(settings, 0);
  settings.clients = 104;
  CHECK_THROWS_AS(split_among_clients(labels, settings, {1, RandomPurpose::clients}), ConfigError);
}

TEST_CASE("an average is that of clients by their shares, protected", "[federated][threads]") {
  struct Found {
    std::vector<float> values, others;
    std::vector<std::vector<float>> between_turns;
    std::vector<std::size_t> protected_ones;
  };
  for (const std::size_t size : {1U, 2U}) {
    std::vector<Found> found(size);
    ThreadRanks(size).run([&](Communicator& ranks) {
      Found& own = found[ranks.rank()];
      const auto backend = make_backend("reference", 1);
      Array<float> values = uploaded<float>(*backend, {1, 2}), others = uploaded<float>(*backend, {5});
      FederatedAverage average(*backend, {values.view(), others.view()});
      const std::vector<std::vector<float>> clients = {{2, 2}, {1, 6}};
      for (std::size_t client = ranks.rank(); client < clients.size(); client += ranks.size()) {
        average.begin_client();
        backend->upload(std::span(clients[client]), values.view());
        average.end_client(client == 0 ? 0.25F : 0.75F);
        own.between_turns.push_back(downloaded(*backend, values));
      }
      average.begin_client();
      backend->upload(std::span(clients[0]), values.view());
      average.leave_client();
      for (int round = 0; round < 2; ++round) {  // the second one has no clients
        average.end_round(ranks, [&](std::size_t i, View<float> change) {
          own.protected_ones.push_back(i);
          std::vector<float> half = backend->download(View<const float>(change));
          for (float& value : half) value /= 2;
          backend->upload(std::span<const float>(half), change);
        });
      }
      own.values = downloaded(*backend, values);
      own.others = downloaded(*backend, others);
    });
    for (const Found& rank : found) {
      CHECK(rank.values == std::vector<float>{1.125F, 3.5F});
      CHECK(rank.others == std::vector<float>{5});
      CHECK(rank.between_turns.size() == 2 / size);
      for (const std::vector<float>& values : rank.between_turns) CHECK(values == std::vector<float>{1, 2});
      CHECK(rank.protected_ones == std::vector<std::size_t>{0, 1, 0, 1});
    }
  }
}

TEST_CASE("one client with one round learns what a network without a server does", "[federated]") {
  // Its momentum lasts for the round, which is the task.
  const std::vector<std::pair<std::string, std::string>> plain = {{"protection.name", "none"},
                                                                  {"optimiser.momentum", "0.5"},
                                                                  {"tasks.count", "2"},
                                                                  {"optimiser.schedule", "cosine"}};
  auto settings = plain;
  settings.insert(settings.end(), {{"federated.clients", "1"}, {"federated.local_epochs", "4"}});
  const TemporaryFolder folder, other;
  run(digits(plain), folder);
  run(digits(settings), other);
  const TrainedNetwork expected = read_weights(folder.path() / weights_name),
                       found = read_weights(other.path() / weights_name);
  for (std::size_t p = 0; p < expected.projections.size(); ++p) {
    const auto& a = expected.projections[p].values;
    const auto& b = found.projections[p].values;
    double difference = 0, size = 0;  // rounding moves a spike now and then
    for (std::size_t i = 0; i < a.size(); ++i) {
      difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
      size += std::pow(static_cast<double>(a[i]), 2);
    }
    CHECK(std::sqrt(difference / size) < 0.02);
  }
  CHECK(read(folder, "/curves/batch").size() == read(other, "/curves/batch").size());
}

TEST_CASE("what a client does depends on nothing that others did in the round", "[federated]") {
  const auto learned = [](const std::vector<float>& shares) {
    const Config config = digits({{"federated.clients", "2"},
                                  {"protection.name", "none"},
                                  {"optimiser.momentum", "0.9"},
                                  {"optimiser.schedule", "cosine"}});
    const auto backend = make_backend("cpu", 1);
    const ShownSet images(*backend, digit_images().train, 128);
    Trainer trainer(*backend, config, {.height = 8, .width = 8}, 10);
    std::vector<std::uint32_t> numbers(128), order(64);
    std::iota(numbers.begin(), numbers.end(), 0U);
    std::iota(order.begin(), order.end(), 0U);
    const Array<std::uint32_t> samples = uploaded(*backend, numbers), pixel_order = uploaded(*backend, order);
    Array<double> loss = backend->allocate<double>(1);
    Array<std::uint32_t> correct = backend->allocate<std::uint32_t>(1);
    trainer.begin_task(0, {.epochs = 1, .updates_per_epoch = 2});
    for (const float share : shares) {
      trainer.begin_client({.epochs = 1, .updates_per_epoch = 2}, 0);
      for (const std::size_t first : {0U, 64U})
        images.train(trainer, samples.view().subview(first, 64), pixel_order.view(), loss.view(),
                     correct.view());
      trainer.end_client(share);
    }
    trainer.end_round();
    return downloaded(*backend, std::as_const(trainer.network()).projections()[1].weights);
  };
  CHECK(learned({0.5F, 0.5F}) == learned({1}));
}

TEST_CASE("under a protection that sums over clients digits are kept; averaged alone, they are forgotten",
          "[federated][long]") {
  for (const std::string split : {"random", "class"}) {
    std::map<std::string, RunRecord> found;
    for (const std::string protection : {"none", "leaky", "hlop", "kfac"}) {
      const TemporaryFolder folder;
      found.emplace(protection, run(digits({{"federated.clients", "5"},
                                            {"federated.split", split},
                                            {"federated.local_epochs", "1"},
                                            {"tasks.epochs", "10"},
                                            {"protection.name", protection},
                                            {"optimiser.learning_rate", "0.3"}}),
                                    folder));
    }
    const double forgotten = found.at("none").accuracy.backward_transfer(3);
    for (const auto& [protection, record] : found) {
      INFO(split << " " << protection << " " << record.accuracy.average_accuracy(3) << " "
                 << record.accuracy.backward_transfer(3));
      CHECK(record.accuracy.learning_accuracy(3) > 0.6);
      if (protection == "none") {
        CHECK(record.accuracy.backward_transfer(3) < -0.1);
      } else {
        CHECK(record.accuracy.backward_transfer(3) > forgotten / 2);
        CHECK(record.accuracy.average_accuracy(3) > found.at("none").accuracy.average_accuracy(3) + 0.05);
      }
    }
  }
}

TEST_CASE("curves of clients are those of their turns, and rounds are counted", "[federated]") {
  // 5 epochs are rounds of 2, 2 and 1; 96 samples are 20, 19 … for five clients, two batches each.
  const TemporaryFolder folder;
  Config config = digits({{"federated.clients", "5"},
                          {"federated.local_epochs", "2"},
                          {"tasks.epochs", "5"},
                          {"tasks.count", "2"},
                          {"tasks.train_samples", "96"},
                          {"training.batch_size", "16"},
                          {"protection.name", "leaky"}});
  Quiet observer;
  const RunRecord record = run_experiment(config, {digit_images()}, folder.path(), observer);
  const std::vector<double> tasks = read(folder, "/curves/task"), rounds = read(folder, "/curves/epoch"),
                            batches = read(folder, "/curves/batch");
  std::vector<double> expected_rounds, expected_batches;
  for (int task = 0; task < 2; ++task) {
    for (const auto& [round, updates] : {std::pair{1, 20}, {2, 20}, {3, 10}}) {
      for (int update = 1; update <= updates; ++update) {
        expected_rounds.push_back(round);
        expected_batches.push_back(update);
      }
    }
  }
  CHECK(rounds == expected_rounds);
  CHECK(batches == expected_batches);
  CHECK(tasks.size() == expected_rounds.size());
  REQUIRE(record.costs.size() == 2);
  CHECK(record.costs[0].training_batches == 50);
  CHECK(record.costs[0].training_samples == 5 * 96);
  REQUIRE(observer.reports.size() == 2 * (3 * 5 + 1));
  CHECK(observer.reports[5].pass == "round 2");
  CHECK(observer.reports[5].unit == "client");
  CHECK(observer.reports[5].done == 1);
  CHECK(observer.reports[5].all == 5);
  CHECK(observer.reports[15].pass == "observation");
  for (const double loss : read(folder, "/curves/loss")) CHECK(loss > 0);
}

TEST_CASE("the server's operators act on averages, or the clients' on their steps", "[federated]") {
  struct Found {
    RunRecord record;
    std::vector<double> curve;  ///< losses
  };
  const auto learned = [](const std::vector<std::pair<std::string, std::string>>& settings) {
    std::vector<std::pair<std::string, std::string>> all = {{"federated.clients", "2"}, {"tasks.count", "2"}};
    all.insert(all.end(), settings.begin(), settings.end());
    const TemporaryFolder folder;
    const RunRecord record = run(digits(all), folder);
    return Found{record, read(folder, "/curves/loss")};
  };
  const Found none = learned({{"protection.name", "none"}});
  // Losses of the first task's four rounds and, before their first average, the second task's first one.
  const std::size_t before_average = none.curve.size() / 8 * 5;
  const auto same_until = [&](const Found& found) {
    const auto end = std::ranges::mismatch(found.curve, none.curve).in1;
    return static_cast<std::size_t>(end - found.curve.begin());
  };
  const Found averages = learned({{"hlop.orthonormalise", "true"}});
  const Found steps = learned({{"hlop.orthonormalise", "true"}, {"federated.protected", "steps"}});
  CHECK(same_until(averages) == before_average);
  CHECK(same_until(steps) < before_average);
  CHECK(same_until(steps) > none.curve.size() / 2);
  for (std::size_t p = 0; p < 3; ++p) {
    const double unprotected = none.record.reports[1].projections[p].leak;
    CHECK(averages.record.reports[1].projections[p].leak < 0.5 * unprotected);
    CHECK(steps.record.reports[1].projections[p].leak < 0.5 * unprotected);
  }
  learned({{"federated.protected", "steps"}, {"hlop.lateral_neurons", "spiking"}});
}

TEST_CASE("what federated training does not do is refused", "[federated]") {
  const auto names = [](const std::string& sentence, const std::string& key) {
    INFO(sentence);
    return sentence.starts_with(key + ": ");
  };
  CHECK(names(refusal({{"protection.name", "replay"}}), "federated.clients"));
  CHECK(names(refusal({{"tasks.boundaries", "hidden"}}), "federated.clients"));
  CHECK(names(refusal({{"tasks.mixing", "0.2"}}), "federated.clients"));
  CHECK(names(refusal({{"hlop.lateral_neurons", "spiking"}}), "federated.protected"));
  CHECK(names(refusal({{"tasks.train_samples", "2"}}), "federated.clients"));
  // Their product, or a sum with them, would not fit a number.
  for (const std::string key : {"federated.shards", "federated.local_epochs", "federated.clients"}) {
    Config config = digits({{"federated.clients", "3"}, {"federated.split", "class"}});
    CHECK_THROWS_AS(config.set(key, "9223372036854775808"), ConfigError);
  }
  CHECK(refusal({{"protection.name", "joint"}, {"tasks.count", "2"}, {"tasks.epochs", "1"}}).empty());
}

}  // namespace orthospike::testing
