#include "learning/experiment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "datasets/sample_order.hpp"
#include "kernels/error.hpp"
#include "tests/catch.hpp"
#include "tests/learning/shown_set.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {
namespace {

struct Silent final : ExperimentObserver {
  void begins(const std::vector<TaskDescription>& its_tasks) override { tasks = its_tasks; }
  void warn(const std::string& sentence) override { warnings.push_back(sentence); }
  void training(const TrainingReport&) override { ++reports; }
  void evaluated(const AccuracyMatrix&, std::size_t) override { ++evaluations; }

  std::vector<TaskDescription> tasks;
  std::vector<std::string> warnings;
  std::size_t reports = 0;
  std::size_t evaluations = 0;
};

/// Four permuted tasks of real 8×8 digits, learned in a second.
Config digits() {
  Config config;
  config.data.mean = 0.287F;
  config.data.deviation = 0.354F;
  config.set("tasks.count", "4");
  config.tasks.epochs = {2};
  config.network.hidden = {128, 128};
  config.set("hlop.ranks", "24,40,30; 10");
  config.set("hebbian.learning_rate", "0.01");
  config.metrics.quality_samples = 200;
  config.run.device = "cpu";
  config.run.threads = 1;  // two wait for each other on a machine that is busy otherwise
  return config;
}

RunRecord run(const Config& config, const TemporaryFolder& folder) {
  Silent observer;
  return run_experiment(config, {digit_images()}, folder.path(), observer);
}

/// The training images with these numbers in place of the test images, in this order, and no longer for training.
ImageData with_held_back(const ImageData& data, const std::vector<std::uint32_t>& numbers) {
  ImageData result = data;
  result.train.pixels.clear();
  result.train.labels.clear();
  result.test = result.train;
  const auto add = [&](std::size_t number, ImageSet& to) {
    const auto pixels = std::span(data.train.pixels).subspan(number * 64, 64);
    to.pixels.insert(to.pixels.end(), pixels.begin(), pixels.end());
    to.labels.push_back(data.train.labels[number]);
    to.count = to.labels.size();
  };
  for (const std::uint32_t number : numbers) add(number, result.test);
  for (std::size_t number = 0; number < data.train.count; ++number) {
    if (std::ranges::count(numbers, number) == 0) add(number, result.train);
  }
  return result;
}

/// Everything that must not depend on the number of threads, bit for bit.
bool same_results(const RunRecord& a, const RunRecord& b) {
  const auto& left = a.accuracy.values();
  const auto& right = b.accuracy.values();
  // NaN where a protection has no subspace: compared by bits.
  const auto same_bits = [](double x, double y) { return std::memcmp(&x, &y, sizeof(double)) == 0; };
  bool same = std::memcmp(left.data(), right.data(), left.size() * sizeof(double)) == 0;
  for (std::size_t k = 0; k < a.reports.size(); ++k) {
    same = same && same_bits(a.reports[k].logit_change, b.reports[k].logit_change);
    for (std::size_t p = 0; p < a.projections.size(); ++p) {
      // The leak is computed from the final weights: a single different bit in them changes it.
      same = same && same_bits(a.reports[k].projections[p].leak, b.reports[k].projections[p].leak);
      same = same && same_bits(a.reports[k].projections[p].explained_energy,
                               b.reports[k].projections[p].explained_energy);
    }
  }
  return same;
}

TEST_CASE("protected by hlop, digits are kept; unprotected, they are forgotten", "[long]") {
  const TemporaryFolder folder;
  const RunRecord kept = run(digits(), folder);
  CHECK(kept.accuracy.average_accuracy(4) > 0.84);
  CHECK(kept.accuracy.backward_transfer(4) > -0.07);
  CHECK(kept.accuracy.learning_accuracy(4) > 0.87);

  const TemporaryFolder other;
  Config config = digits();
  config.set("protection.name", "none");
  const RunRecord lost = run(config, other);
  CHECK(lost.accuracy.learning_accuracy(4) > 0.87);
  CHECK(lost.accuracy.backward_transfer(4) < -0.20);

  CHECK(std::isnan(kept.reports[0].logit_change));
  for (std::size_t k = 1; k < 4; ++k) {
    CHECK(kept.reports[k].logit_change < 0.7 * lost.reports[k].logit_change);
    for (std::size_t p = 0; p < 3; ++p) {
      CHECK(kept.reports[k].projections[p].leak < 0.5 * lost.reports[k].projections[p].leak);
      CHECK(kept.reports[k].projections[p].explained_energy > 0.8);
    }
  }
}

/// The digits with a protection and its keys.
RunRecord learned(const std::string& protection,
                  const std::vector<std::pair<std::string, std::string>>& keys) {
  const TemporaryFolder folder;
  Config config = digits();
  config.set("protection.name", protection);
  for (const auto& [name, value] : keys) config.set(name, value);
  return run(config, folder);
}

TEST_CASE("leaky inhibition, gpm and owm keep digits, and leave room to learn", "[long]") {
  const RunRecord none = learned("none", {});
  const RunRecord exact = learned("leaky", {{"leaky.lambda", "0.3"}});
  // Measured, backward transfer: -0.38 without, here -0.025 to -0.043.
  for (const RunRecord& kept :
       {exact, learned("leaky_lowrank", {{"leaky.lambda", "0.3"}, {"leaky.neurons", "300"}}),
        learned("gpm", {{"gpm.threshold", "0.95"}}), learned("owm", {{"owm.alpha", "1"}})}) {
    INFO(kept.config);
    CHECK(kept.accuracy.backward_transfer(4) > 0.25 * none.accuracy.backward_transfer(4));
    CHECK(kept.accuracy.average_accuracy(4) > none.accuracy.average_accuracy(4) + 0.15);
    CHECK(kept.accuracy.learning_accuracy(4) > 0.85);
    for (std::size_t p = 0; p < 3; ++p) {
      for (std::size_t k = 1; k < 4; ++k) {
        CHECK(kept.reports[k].projections[p].leak < 0.6 * none.reports[k].projections[p].leak);
        // New lateral neurons may find the energy outside less even than it was taken for, which counts less.
        const std::size_t before = kept.config.find("name = leaky_lowrank") == std::string::npos ? k - 1 : 0;
        CHECK(kept.reports[k].projections[p].effective_rank >
              kept.reports[before].projections[p].effective_rank);
        CHECK(kept.reports[k].projections[p].explained_energy > 0.85);
        CHECK(kept.reports[k].projections[p].explained_energy <= 1 + 1e-6);
        CHECK(kept.reports[k].projections[p].memory > 0);
      }
    }
  }
  CHECK(none.reports[3].projections[0].effective_rank == 0);
  CHECK(std::isnan(none.reports[3].projections[0].explained_energy));
  CHECK(none.reports[3].projections[0].memory == 0);
  // Memory does not grow with the tasks.
  CHECK(exact.reports[3].projections[1].memory == exact.reports[0].projections[1].memory);

  const RunRecord circuit =
      learned("leaky", {{"leaky.lambda", "0.3"}, {"leaky.form", "circuit"}, {"leaky.tolerance", "0.001"}});
  CHECK(circuit.accuracy.backward_transfer(4) == Approx(exact.accuracy.backward_transfer(4)).margin(0.01));
  CHECK(circuit.reports[3].projections[1].effective_rank ==
        Approx(exact.reports[3].projections[1].effective_rank).epsilon(0.01));
  const RunRecord spiking = learned(
      "leaky", {{"leaky.lambda", "0.3"}, {"leaky.form", "circuit"}, {"leaky.lateral_neurons", "spiking"}});
  CHECK(spiking.accuracy.backward_transfer(4) > exact.accuracy.backward_transfer(4) - 0.02);
  CHECK(spiking.reports[3].projections[1].explained_energy ==
        Approx(exact.reports[3].projections[1].explained_energy).margin(0.01));
  CHECK(spiking.accuracy.average_accuracy(4) > exact.accuracy.average_accuracy(4) - 0.02);
}

TEST_CASE("with convolutions digits are forgotten, and kept by protections", "[long]") {
  const auto convolved = [](const std::string& protection, const std::string& key, const std::string& value) {
    return learned(protection, {{"network.layers", "16c3, lif, p2, 100, lif"},
                                {"network.bias", "all"},
                                {"optimiser.learning_rate", "0.2"},
                                {key, value}});
  };
  const RunRecord none = convolved("none", "tasks.count", "4");
  const RunRecord hlop = convolved("hlop", "hlop.ranks", "5,1,24,1,40,1; 2,0,5,0,10,0");
  const RunRecord leaky = convolved("leaky", "leaky.lambda", "0.3");
  // Measured: backward transfer -0.55, -0.11 and -0.06, of tasks learned to 0.87 to 0.89.
  for (const RunRecord* record : {&none, &hlop, &leaky}) CHECK(record->accuracy.learning_accuracy(4) > 0.83);
  CHECK(none.accuracy.backward_transfer(4) < -0.4);
  CHECK(hlop.accuracy.backward_transfer(4) > -0.2);
  CHECK(leaky.accuracy.backward_transfer(4) > -0.12);
  CHECK(leaky.accuracy.average_accuracy(4) > 0.76);
  // By a quarter of the places nearly the same is known.
  const RunRecord sampled = convolved("leaky", "protection.stride", "2");
  CHECK(sampled.accuracy.values() != leaky.accuracy.values());
  CHECK(sampled.accuracy.backward_transfer(4) > -0.16);
  CHECK(sampled.accuracy.average_accuracy(4) > 0.74);
}

TEST_CASE("with a residual block and normalised currents digits are forgotten, and kept", "[long]") {
  const auto with_block = [](const std::string& protection) {
    std::vector<std::pair<std::string, std::string>> keys = {
        {"network.layers", "8c3, block8, bn, lif, p2, 100, bn, lif"},
        {"optimiser.learning_rate", "0.03"},
        {"optimiser.momentum", "0.9"},
        {"tasks.count", "2"}};
    if (protection == "leaky") keys.emplace_back("leaky.lambda", "0.1");
    return learned(protection, keys);
  };
  const RunRecord none = with_block("none"), leaky = with_block("leaky");
  // Measured: ACC 54.9 and 89.8, BWT -75 and -4.4, of tasks learned to 92 %.
  for (const RunRecord* record : {&none, &leaky}) CHECK(record->accuracy.learning_accuracy(2) > 0.87);
  CHECK(none.accuracy.backward_transfer(2) < -0.5);
  CHECK(leaky.accuracy.backward_transfer(2) > -0.1);
  CHECK(leaky.accuracy.average_accuracy(2) > 0.84);
}

TEST_CASE("damped on both sides digits are kept and later ones learned better than on one", "[long]") {
  const RunRecord none = learned("none", {}), one = learned("leaky", {{"leaky.lambda", "0.3"}}),
                  both = learned("kfac", {{"kfac.lambda", "0.5"}});
  // Measured: ACC 88.7 and 90.4, BWT -2.6 and -1.4.
  CHECK(both.accuracy.average_accuracy(4) > one.accuracy.average_accuracy(4) + 0.005);
  CHECK(both.accuracy.backward_transfer(4) > one.accuracy.backward_transfer(4));
  CHECK(both.accuracy.learning_accuracy(4) > one.accuracy.learning_accuracy(4));
  for (std::size_t k = 1; k < 4; ++k) {
    CHECK(both.reports[k].logit_change < 0.5 * none.reports[k].logit_change);
    for (std::size_t p = 0; p < 3; ++p) {
      const ProjectionReport& now = both.reports[k].projections[p];
      CHECK(now.effective_rank > both.reports[k - 1].projections[p].effective_rank);
      CHECK(now.effective_rank < one.reports[k].projections[p].effective_rank);
      CHECK(now.leak < 0.6 * none.reports[k].projections[p].leak);
      CHECK(now.explained_energy > 0.3);
      CHECK(now.explained_energy <= 1 + 1e-6);
      CHECK(now.memory == both.reports[0].projections[p].memory);
    }
  }

  const RunRecord separable =
      learned("kfac", {{"kfac.form", "separable"}, {"kfac.lambda", "1"}, {"kfac.mu", "3"}});
  CHECK(separable.accuracy.average_accuracy(4) > one.accuracy.average_accuracy(4));
  const RunRecord circuit = learned(
      "kfac",
      {{"kfac.form", "circuit"}, {"kfac.lambda", "1"}, {"kfac.mu", "3"}, {"kfac.tolerance", "0.001"}});
  CHECK(circuit.accuracy.average_accuracy(4) == Approx(separable.accuracy.average_accuracy(4)).margin(0.01));
  CHECK(circuit.reports[3].projections[1].effective_rank ==
        Approx(separable.reports[3].projections[1].effective_rank).epsilon(0.01));
  const RunRecord spiking = learned("kfac", {{"kfac.form", "circuit"},
                                             {"kfac.lambda", "1"},
                                             {"kfac.mu", "3"},
                                             {"kfac.lateral_neurons", "spiking"}});
  CHECK(spiking.accuracy.average_accuracy(4) > separable.accuracy.average_accuracy(4) - 0.02);
}

TEST_CASE("with bptt, ottt and eprop digits are learned, and kept by hlop", "[long]") {
  for (const auto& [rule, update] :
       {std::pair{"bptt", "sequence"}, {"ottt", "sequence"}, {"ottt", "step"}, {"eprop", "sequence"}}) {
    INFO(rule << ", update " << update);
    const auto learned = [&, rule = rule, update = update](const std::string& protection) {
      const TemporaryFolder folder;
      Config config = digits();
      config.set("tasks.count", "2");
      config.metrics.quality_samples = 50;
      config.set("neuron.model", "lif");
      config.set("neuron.steps", "6");
      config.set("neuron.dt", "1");
      config.set("neuron.tau", "2");
      config.set("neuron.threshold", "1");
      config.set("rule.name", rule);
      config.set("rule.update", update);
      config.set("protection.name", protection);
      return run(config, folder);
    };
    // Measured with seeds 2022 and 2, backward transfer: -0.19 to -0.29 without, -0.033 to 0 with hlop.
    const auto none = learned("none"), hlop = learned("hlop");
    CHECK(none.accuracy.learning_accuracy(2) > 0.85);  // 0.87 to 0.92
    CHECK(hlop.accuracy.learning_accuracy(2) > 0.82);  // 0.83 to 0.91, with seed 2022 above 0.87
    CHECK(none.accuracy.backward_transfer(2) < -0.15);
    CHECK(hlop.accuracy.backward_transfer(2) > -0.06);
  }
}

TEST_CASE("a replay of 50 samples a class halves what is forgotten, alone and with hlop", "[long]") {
  const auto learned = [](const std::string& protection) {
    const TemporaryFolder folder;
    Config config = digits();
    config.set("protection.name", protection);
    return run(config, folder);
  };
  const auto none = learned("none");
  const auto replay = learned("replay");
  const auto hlop = learned("hlop");
  const auto both = learned("hlop+replay");
  // Measured with seeds 2022 and 1: -0.38, -0.31; -0.07, -0.11; -0.031, -0.059; -0.025, -0.049.
  CHECK(none.accuracy.backward_transfer(4) < -0.20);
  CHECK(replay.accuracy.backward_transfer(4) > 0.5 * none.accuracy.backward_transfer(4));
  CHECK(both.accuracy.backward_transfer(4) > hlop.accuracy.backward_transfer(4));
  CHECK(replay.accuracy.learning_accuracy(4) > 0.87);

  // Ten updates, of 50 samples of each task so far, follow each task but the first.
  for (std::size_t k = 0; k < 4; ++k) {
    CHECK(replay.costs[k].training_batches == none.costs[k].training_batches + (k > 0 ? 10 : 0));
    CHECK(replay.costs[k].training_samples == none.costs[k].training_samples + (k > 0 ? 500 * (k + 1) : 0));
  }
}

TEST_CASE("a replay follows its settings") {
  Config config = digits();
  config.set("protection.name", "replay");
  config.set("tasks.count", "2");
  config.tasks.epochs = {1};
  config.set("replay.samples_per_class", "7");
  config.set("replay.epochs", "3");
  config.set("replay.batch_size", "30");
  const auto losses = [&](const std::string& selection, std::uint64_t updates, std::uint64_t samples) {
    config.set("replay.selection", selection);
    const TemporaryFolder folder;
    const RunRecord record = run(config, folder);
    CHECK(record.costs[1].training_batches == record.costs[0].training_batches + updates);
    CHECK(record.costs[1].training_samples == record.costs[0].training_samples + samples);
    const Hdf5File file = Hdf5File::open(folder.path() / RunFile::name);
    CHECK(file.read<std::uint32_t>("/curves/epoch").back() == 4);  // one of training, three of replay
    return file.read<double>("/curves/loss");
  };
  // 70 samples of each of two tasks, 30 of each an update.
  const auto first = losses("first", 9, 420);
  CHECK(losses("reservoir", 9, 420) != first);
  config.set("replay.learning_rate", "0");
  CHECK(losses("first", 9, 420) != first);
}

TEST_CASE("joint training learns all tasks, at least as well as hlop, and has nothing to forget", "[long]") {
  const TemporaryFolder one, two;
  const RunRecord hlop = run(digits(), one);
  Config config = digits();
  config.set("protection.name", "joint");
  const RunRecord joint = run(config, two);
  CHECK(joint.accuracy.average_accuracy(4) > hlop.accuracy.average_accuracy(4) + 0.02);
  for (std::size_t j = 1; j <= 4; ++j) {
    CHECK(joint.accuracy.at(4, j) > 0.88);
    CHECK(joint.accuracy.at(4, j) > hlop.accuracy.at(4, j));
    for (std::size_t i = 1; i < 4; ++i) CHECK(std::isnan(joint.accuracy.at(i, j)));
  }
  CHECK(std::isnan(joint.accuracy.backward_transfer(4)));
  CHECK(joint.tasks_done == 4);
  CHECK(joint.costs[2].training_batches == 0);
  CHECK(joint.costs[2].training_seconds() == 0);
  CHECK(joint.costs[3].training_samples == 4 * hlop.costs[0].training_samples);
  CHECK(joint.costs[3].training_seconds() > 0);
}

TEST_CASE("replay and joint training give the same bits with 1 and 2 threads, other seeds others",
          "[threads]") {
  for (const std::string protection : {"hlop+replay", "joint"}) {
    const auto losses = [&](int threads, std::uint64_t seed) {
      Config config = digits();
      config.set("protection.name", protection);
      config.set("tasks.count", "2");
      config.tasks.train_samples = {300};
      config.tasks.test_samples = {64};
      config.tasks.epochs = {1};
      config.run.threads = threads;
      config.experiment.seed = seed;
      const TemporaryFolder folder;
      run(config, folder);
      return Hdf5File::open(folder.path() / RunFile::name).read<double>("/curves/loss");
    };
    const auto serial = losses(1, 2022);
    CHECK(losses(2, 2022) == serial);
    CHECK(losses(1, 2023) != serial);
  }
}

TEST_CASE("with gradual boundaries tasks are learned in part before their time, from as many samples",
          "[threads]") {
  const auto learned = [](float mixing, int threads) {
    Config config = digits();
    config.set("protection.name", "none");
    config.set("tasks.count", "2");
    config.tasks.mixing = mixing;
    config.run.threads = threads;
    const TemporaryFolder folder;
    return run(config, folder);
  };
  const RunRecord sharp = learned(0, 1), gradual = learned(0.8F, 1);
  CHECK(sharp.accuracy.at(1, 2) < 0.3);
  CHECK(gradual.accuracy.at(1, 2) > 0.6);  // 0.69
  CHECK(gradual.accuracy.at(2, 2) > 0.85);
  for (std::size_t k = 0; k < 2; ++k) {
    CHECK(gradual.costs[k].training_samples == sharp.costs[k].training_samples);
    CHECK(gradual.costs[k].training_batches == sharp.costs[k].training_batches);
  }
  CHECK(same_results(gradual, learned(0.8F, 2)));
}

TEST_CASE("hidden boundaries of digits are found, and protected as known ones are", "[long]") {
  const auto learned = [](const std::string& protection, const std::string& boundaries) {
    Config config = digits();
    config.set("protection.name", protection);
    config.set("leaky.lambda", "0.3");
    if (protection == "gpm") config.set("gpm.threshold", "0.95");
    config.set("tasks.boundaries", boundaries);
    const TemporaryFolder folder;
    return run(config, folder);
  };
  const RunRecord none = learned("none", "hidden");
  CHECK(none.accuracy.backward_transfer(4) < -0.20);
  const std::vector<std::uint32_t> first_updates = {121, 241, 361};
  for (const std::string protection : {"hlop", "leaky", "gpm", "owm"}) {
    INFO(protection);
    const RunRecord hidden = learned(protection, "hidden"), known = learned(protection, "known");
    CHECK(hidden.detected_boundaries == first_updates);
    CHECK(known.detected_boundaries.empty());
    // The first update of a task is made when its boundary is known: nothing else differs.
    CHECK(hidden.accuracy.values() == known.accuracy.values());
  }
}

TEST_CASE("with hidden boundaries the same seed gives the same bits with 1 and 2 threads", "[threads]") {
  const auto learned = [](int threads) {
    Config config = digits();
    config.set("tasks.boundaries", "hidden");
    config.run.threads = threads;
    const TemporaryFolder folder;
    return run(config, folder);
  };
  CHECK(same_results(learned(1), learned(2)));
}

TEST_CASE("gradual hidden boundaries of digits are found while tasks mix, and their tasks kept", "[long]") {
  const auto learned = [](const std::string& protection) {
    Config config = digits();
    config.set("protection.name", protection);
    config.set("tasks.boundaries", "hidden");
    config.tasks.mixing = 0.5F;
    const TemporaryFolder folder;
    return run(config, folder);
  };
  const RunRecord none = learned("none"), hlop = learned("hlop");
  REQUIRE(hlop.detected_boundaries.size() == 3);
  for (std::size_t k = 0; k < 3; ++k) {
    const auto middle = static_cast<double>(120 * (k + 1));
    CHECK(hlop.detected_boundaries[k] == Approx(middle).margin(30));
  }
  // Measured: -0.29 and -0.034.
  CHECK(hlop.accuracy.backward_transfer(4) > 0.25 * none.accuracy.backward_transfer(4));
  CHECK(hlop.accuracy.average_accuracy(4) > none.accuracy.average_accuracy(4) + 0.1);
}

TEST_CASE("by slow consolidation digits are kept without any boundary", "[threads][long]") {
  const auto learned = [](const std::string& protection, int threads = 1) {
    Config config = digits();
    config.set("protection.name", protection);
    config.set("tasks.boundaries", "hidden");
    config.run.threads = threads;
    if (protection == "leaky") {
      config.set("leaky.lambda", "1");
      config.set("leaky.consolidation", "slow");
      config.set("leaky.slow_updates", "120");
      config.set("leaky.refresh", "10");
    }
    const TemporaryFolder folder;
    return run(config, folder);
  };
  const RunRecord none = learned("none"), slow = learned("leaky");
  CHECK(slow.detected_boundaries.empty());
  // Measured: -0.38 and -0.043; the slow average lets the digits be learned to 91 %.
  CHECK(slow.accuracy.backward_transfer(4) > 0.25 * none.accuracy.backward_transfer(4));
  CHECK(slow.accuracy.average_accuracy(4) > none.accuracy.average_accuracy(4) + 0.15);
  CHECK(slow.accuracy.learning_accuracy(4) > 0.88);
  CHECK(same_results(slow, learned("leaky", 2)));
}

TEST_CASE("lateral neurons of 40 steps keep digits about as linear ones do", "[long]") {
  const TemporaryFolder folder;
  const RunRecord linear = run(digits(), folder);
  for (const std::string neurons : {"quantised", "spiking"}) {
    INFO(neurons);
    const TemporaryFolder other;
    Config config = digits();
    config.set("hlop.lateral_neurons", neurons);
    const RunRecord record = run(config, other);
    CHECK(record.accuracy.backward_transfer(4) == Approx(linear.accuracy.backward_transfer(4)).margin(0.02));
    CHECK(record.accuracy.average_accuracy(4) == Approx(linear.accuracy.average_accuracy(4)).margin(0.03));
    CHECK_FALSE(same_results(record, linear));
  }
}

TEST_CASE("the same seed gives the same bits with 1 and 2 threads, another seed others", "[threads]") {
  Config config = digits();
  config.set("tasks.count", "2");
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
  config.set("tasks.count", "2");
  config.tasks.epochs = {1};
  config.tasks.train_samples = {256};
  config.tasks.test_samples = {200};
  const TemporaryFolder one, two;
  const RunRecord fast = run(config, one);
  config.run.device = "reference";
  const RunRecord reference = run(config, two);
  CHECK(fast.accuracy.average_accuracy(2) == Approx(reference.accuracy.average_accuracy(2)).margin(0.03));
}

TEST_CASE("delivery by events and by dense products learns the same within rounding") {
  Config config = digits();
  config.set("tasks.count", "1");
  config.tasks.epochs = {1};
  const TemporaryFolder one, two;
  config.set("network.delivery", "events");
  const RunRecord events = run(config, one);
  config.set("network.delivery", "dense");
  const RunRecord dense = run(config, two);
  CHECK(events.accuracy.average_accuracy(1) == Approx(dense.accuracy.average_accuracy(1)).margin(0.03));
}

TEST_CASE("after the first task thresholds stay as they are") {
  const auto backend = make_backend("cpu", 1);
  Config config = digits();
  config.set("neuron.threshold",
             "0.02");  // low enough for neurons to saturate: only those change their threshold
  const ImageData& data = digit_images();
  const ShownSet images(*backend, data.train, 64);
  Trainer trainer(*backend, config, {.height = 8, .width = 8}, 10);
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
      values.push_back(backend->download(View<const float>(population.neuron->threshold()))[0]);
    }
    return values;
  };
  const auto train = [&] {
    for (int i = 0; i < 5; ++i) {
      images.train(trainer, samples.view(), samples.view(), loss.view(), correct.view());
    }
  };

  const auto initial = thresholds();
  trainer.begin_task(0, {.epochs = 1, .updates_per_epoch = 5});
  train();
  trainer.end_task();
  const auto learned = thresholds();
  CHECK(learned != initial);
  const std::vector<float> frozen_rows = backend->download(trainer.protection().subspace(1)->rows().values);

  trainer.begin_task(1, {.epochs = 1, .updates_per_epoch = 5});
  train();
  CHECK(thresholds() == learned);
  const std::vector<float> rows = backend->download(trainer.protection().subspace(1)->rows().values);
  CHECK(std::memcmp(rows.data(), frozen_rows.data(), frozen_rows.size() * sizeof(float)) == 0);
  CHECK(rows.size() > frozen_rows.size());
}

TEST_CASE("held-back training samples take the place of the test set") {
  Config config = digits();
  config.set("tasks.count", "1");
  config.tasks.epochs = {1};
  config.tasks.held_back_samples = {1000};
  config.set("tasks.held_back", "last");
  // The same samples, cut by hand; what were test images must not matter.
  ImageData cut = digit_images();
  const auto kept = cut.train.count - 1000;
  cut.test.pixels.assign(cut.train.pixels.end() - 1000 * 64, cut.train.pixels.end());
  cut.test.labels.assign(cut.train.labels.end() - 1000, cut.train.labels.end());
  cut.test.count = 1000;
  const TemporaryFolder held_back_folder, cut_folder, folder;
  const RunRecord held_back = run(config, held_back_folder);
  config.set("tasks.held_back", "stratified");
  const TemporaryFolder stratified_folder;
  const RunRecord stratified = run(config, stratified_folder);
  const std::vector<std::uint32_t> numbers = stratified_samples(
      digit_images().train.labels, 1000, {config.experiment.seed, RandomPurpose::held_back});
  config.tasks.held_back_samples = {0};
  const TemporaryFolder stratified_cut_folder;
  Silent stratified_observer;
  CHECK(stratified.accuracy.values() == run_experiment(config, {with_held_back(digit_images(), numbers)},
                                                       stratified_cut_folder.path(), stratified_observer)
                                            .accuracy.values());
  config.tasks.train_samples = {kept};
  Silent observer;
  const RunRecord by_hand = run_experiment(config, {cut}, cut_folder.path(), observer);
  CHECK(held_back.accuracy.values() == by_hand.accuracy.values());
  CHECK(held_back.accuracy.at(1, 1) != run(config, folder).accuracy.at(1, 1));
  CHECK_THROWS_WITH(
      config.set("tasks.held_back", "last"),
      "set: tasks.held_back: it is read only with tasks.held_back_samples above 0; leave it at stratified");
  config.tasks.held_back_samples = {digit_images().train.count};
  CHECK_THROWS_AS(run(config, folder), ConfigError);
}

TEST_CASE("tasks to come, and those before the last, can be left out of the tests") {
  Config config = digits();
  config.set("tasks.count", "4");
  config.tasks.epochs = {1};
  const TemporaryFolder all_folder;
  const RunRecord all = run(config, all_folder);
  for (const std::string tested : {"learned", "current"}) {
    config.set("metrics.tested_tasks", tested);
    const TemporaryFolder folder;
    const RunRecord part = run(config, folder);
    for (std::size_t after = 0; after <= 4; ++after) {
      for (std::size_t task = 1; task <= 4; ++task) {
        const bool to_come = task > after + 1, before = task < after && tested == "current";
        if (after != 0 && after != 4 && (to_come || before)) {
          CHECK(std::isnan(part.accuracy.at(after, task)));
        } else {
          CHECK(part.accuracy.at(after, task) == all.accuracy.at(after, task));
        }
      }
    }
    CHECK(part.accuracy.forward_transfer(4) == all.accuracy.forward_transfer(4));
    CHECK(part.accuracy.backward_transfer(4) == all.accuracy.backward_transfer(4));
    CHECK(part.accuracy.learning_accuracy(4) == all.accuracy.learning_accuracy(4));
    if (tested == "learned") {
      CHECK(part.accuracy.mean_forgetting(4) == all.accuracy.mean_forgetting(4));
    } else {
      CHECK(std::isnan(part.accuracy.mean_forgetting(4)));
    }
  }
}

TEST_CASE("ranks above the presynaptic size are capped with a warning") {
  Config config = digits();
  config.set("tasks.count", "2");
  config.tasks.epochs = {1};
  config.set("hlop.ranks", "60,10,10; 60,10,10");
  const TemporaryFolder folder;
  Silent observer;
  const RunRecord record = run_experiment(config, {digit_images()}, folder.path(), observer);
  REQUIRE(observer.warnings.size() == 1);
  CHECK(observer.warnings[0].find("input_to_hidden1") != std::string::npos);
  CHECK(record.reports[0].projections[0].rank == 60);
  CHECK(record.reports[1].projections[0].rank == 64);
  CHECK(observer.evaluations == 3);
}

TEST_CASE("rows that make the projection amplify are warned of, once a projection, while tasks remain") {
  const auto amplifying = [](const RunRecord& record, std::size_t p, std::size_t tasks) {
    return std::ranges::any_of(std::span(record.reports).first(tasks), [p](const TaskReport& report) {
      return report.projections[p].largest_eigenvalue > 2;
    });
  };
  Config config = digits();
  std::size_t warned = 0;
  for (const float rate : {0.01F, 0.3F}) {
    CAPTURE(rate);
    config.set("hebbian.learning_rate", fmt::format("{}", rate));
    const TemporaryFolder folder;
    Silent observer;
    const RunRecord record = run_experiment(config, {digit_images()}, folder.path(), observer);
    for (std::size_t p = 0; p < record.projections.size(); ++p) {
      const auto warnings = std::ranges::count_if(observer.warnings, [&](const std::string& warning) {
        return warning.find(record.projections[p]) != std::string::npos &&
               warning.find("hlop.orthonormalise") != std::string::npos;
      });
      CHECK(warnings == (amplifying(record, p, record.accuracy.tasks() - 1) ? 1 : 0));
      warned += static_cast<std::size_t>(warnings);
    }
    if (rate == 0.01F) CHECK(observer.warnings.empty());
  }
  CHECK(warned > 0);
}

/// The sentence with which a run ends early; it leaves no run.h5.
std::string failure(const Config& config) {
  const TemporaryFolder folder;
  try {
    run(config, folder);
  } catch (const EnvironmentError& error) {
    CHECK_FALSE(std::filesystem::exists(folder.path() / RunFile::name));
    return error.what();
  }
  return "";
}

TEST_CASE("training that diverges is one clear error that names task, batch and projection") {
  Config config = digits();
  config.set("protection.name", "none");
  config.tasks.train_samples = {128};
  config.set("optimiser.learning_rate", "3e38");
  const std::string of_loss = failure(config);
  INFO(of_loss);
  CHECK(of_loss.find("in task 1: the loss of batch 2 of epoch 1 is not finite") != std::string::npos);
  CHECK(of_loss.find("inf, of input_to_hidden1") != std::string::npos);
  // The only batch is the last: its loss is still finite.
  config.tasks.train_samples = {64};
  config.tasks.epochs = {1};
  const std::string of_test = failure(config);
  INFO(of_test);
  CHECK(
      of_test.find("in task 1: the loss of the test samples of task 1 is not finite after the last batch") !=
      std::string::npos);
  CHECK(of_test.find("of hidden2_to_readout") != std::string::npos);
  config.set("optimiser.weight_decay", "1000");
  const std::string of_weights = failure(config);
  INFO(of_weights);
  CHECK(of_weights.find("in task 1: not all weights and thresholds are finite after batch 1 of epoch 1") !=
        std::string::npos);
  CHECK(of_weights.find("inf, of input_to_hidden1") != std::string::npos);
  // In the first task, which a subspace does not change yet.
  config.set("optimiser.weight_decay", "0");
  config.set("optimiser.learning_rate", "0.1");
  config.set("protection.name", "hlop");
  config.set("hebbian.learning_rate", "1e30");
  config.metrics.quality_samples = 0;
  const std::string of_subspace = failure(config);
  INFO(of_subspace);
  CHECK(of_subspace.find(
            "in task 1: the subspace of input_to_hidden1 is not finite after batch 1 of epoch 1") !=
        std::string::npos);
  CHECK(of_subspace.find("hebbian.learning_rate") != std::string::npos);
}

TEST_CASE("a subspace that cannot be measured is named with its task") {
  Config config = digits();
  config.data.deviation = 1e-30F;
  const std::string sentence = failure(config);
  INFO(sentence);
  CHECK(sentence.find("in task 1: the subspace of input_to_hidden1") != std::string::npos);
  for (const std::string protection : {"leaky", "gpm", "owm"}) {
    config.set("protection.name", protection);
    INFO(failure(config));
    CHECK(failure(config).starts_with("in task 1: the activity that input_to_hidden1 sees"));
  }
}

TEST_CASE("populations that never fire, or always, are warned of once each, and leave no rows") {
  const auto warnings = [](Config config, RunRecord* record = nullptr) {
    config.set("tasks.count", "2");
    config.tasks.train_samples = {128};
    config.tasks.test_samples = {64};
    const TemporaryFolder folder;
    Silent observer;
    const RunRecord result = run_experiment(config, {digit_images()}, folder.path(), observer);
    if (record != nullptr) *record = result;
    return observer.warnings;
  };
  CHECK(warnings(digits()).empty());

  Config silent = digits();
  silent.set("neuron.threshold", "1e6");
  RunRecord record;
  const std::vector<std::string> of_silent = warnings(silent, &record);
  REQUIRE(of_silent.size() == 2);
  CHECK(of_silent[0].find("in task 1 no neuron of hidden1 fires") != std::string::npos);
  CHECK(of_silent[1].find("in task 1 no neuron of hidden2 fires") != std::string::npos);
  for (const TaskReport& report : record.reports) {
    const auto& reports = report.projections;
    CHECK(reports[0].rank > 0);
    CHECK(reports[0].largest_angle < 90);
    for (const std::size_t p : {1U, 2U}) {
      CHECK(reports[p].rank == 0);
      CHECK(std::isnan(reports[p].mean_angle));
      CHECK(std::isnan(reports[p].explained_energy));
      CHECK(std::isnan(reports[p].leak));
    }
  }

  // One neuron, whose current has the same sign for all images.
  std::size_t saturated = 0;
  for (const std::uint64_t seed : {1U, 2U, 3U, 4U}) {
    Config config = digits();
    config.set("protection.name", "none");
    config.experiment.seed = seed;
    config.network.hidden = {1};
    config.data.mean = -1000;
    config.set("neuron.threshold", "1e-3");
    config.set("optimiser.learning_rate", "0");
    const std::vector<std::string> found = warnings(config);
    REQUIRE(found.size() == 1);
    saturated += found[0].find("in task 1 every neuron of hidden1 fires in every step") != std::string::npos;
  }
  CHECK(saturated > 0);
  CHECK(saturated < 4);
}

/// The key that is refused; empty when none is.
std::string refused_key(const std::vector<std::string>& arguments) {
  try {
    read_config({}, arguments);
  } catch (const ConfigError& error) {
    const std::string sentence = error.what(), place = "command line: ";
    CHECK(sentence.starts_with(place));
    return sentence.substr(place.size(), sentence.find(':', place.size()) - place.size());
  }
  return "";
}

TEST_CASE("a device that is none is refused before anything is written") {
  Config config = digits();
  config.run.device = "x";
  const TemporaryFolder folder;
  CHECK_THROWS_AS(run(config, folder), ConfigError);
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("ranks are one number or one for each projection") {
  for (const std::string ranks : {"1,2", "3;1,2", "1,2,3,4"}) {
    INFO(ranks);
    Config config = digits();
    config.set("hlop.ranks", ranks);
    const TemporaryFolder folder;
    CHECK_THROWS_AS(run(config, folder), ConfigError);
    CHECK(std::filesystem::is_empty(folder.path()));
  }
}

TEST_CASE("keys of leaky inhibition that its form does not read are refused") {
  const auto refused = [](const std::vector<std::string>& arguments) {
    return !refused_key(arguments).empty();
  };
  for (const std::string key : {"neurons=10", "unexplained=0.1", "growth=1", "growth_batches=1"}) {
    CHECK(refused({"--protection.name=leaky", "--leaky." + key}));
    CHECK_FALSE(refused({"--protection.name=leaky_lowrank+replay", "--leaky." + key}));
    CHECK(refused({"--protection.name=gpm", "--leaky." + key}));
  }
  for (const std::string key : {"learning_rate=0.1", "tolerance=0.1", "lateral_neurons=spiking"}) {
    CHECK(refused({"--protection.name=leaky", "--leaky." + key}));
    CHECK(refused({"--protection.name=leaky_lowrank", "--leaky." + key}));
    CHECK_FALSE(refused({"--protection.name=leaky", "--leaky.form=circuit", "--leaky." + key}));
  }
  CHECK(refused({"--protection.name=leaky_lowrank", "--leaky.form=circuit"}));
  CHECK(refused({"--protection.name=leaky", "--leaky.form=spiking"}));
  const std::string circuit = "--leaky.form=circuit", spiking = "--leaky.lateral_neurons=spiking";
  CHECK(refused({"--protection.name=leaky", circuit, "--leaky.lateral_neurons=x"}));
  CHECK(refused({"--protection.name=leaky", circuit, spiking, "--leaky.tolerance=0.1"}));
  for (const std::string key : {"--leaky.spike_height=0.1", "--leaky.sweeps=3"}) {
    CHECK(refused({"--protection.name=leaky", circuit, key}));
    CHECK_FALSE(refused({"--protection.name=leaky", circuit, spiking, key}));
  }
  for (const std::string name : {"none", "leaky", "gpm", "owm", "replay", "joint"})
    CHECK(refused({"--protection.name=" + name, "--hlop.ranks=1,2"}));
}

TEST_CASE("hidden boundaries and mixing are refused where they contradict") {
  const auto sentence = [](const std::vector<std::string>& arguments) {
    Config config = digits();
    const TemporaryFolder folder;
    try {
      for (const std::string& argument : arguments) {
        const std::size_t equals = argument.find('=');
        config.set(argument.substr(0, equals), argument.substr(equals + 1));
      }
      run(config, folder);
    } catch (const ConfigError& error) {
      CHECK(std::filesystem::is_empty(folder.path()));
      return std::string(error.what());
    }
    return std::string();
  };
  const auto names = [](const std::string& text, const std::string& key) {
    return text.starts_with(key + ":") || text.starts_with("set: " + key + ":");
  };
  for (const std::string protection : {"joint", "replay", "hlop+replay"})
    CHECK(names(sentence({"tasks.boundaries=hidden", "protection.name=" + protection}), "tasks.boundaries"));
  for (const std::string schedule : {"step", "cosine"})
    CHECK(names(sentence({"tasks.boundaries=hidden", "optimiser.schedule=" + schedule}), "tasks.boundaries"));
  CHECK(names(sentence({"tasks.boundaries=hidden", "optimiser.learning_rate=0.1,0.01"}), "tasks.boundaries"));
  for (const std::string key : {"neurons", "lambda", "smoothing", "threshold", "distance"})
    CHECK(names(sentence({"boundaries." + key + "=5"}), "boundaries." + key));
  for (const std::string key : {"leaky.fast_updates=3", "leaky.slow_updates=3", "leaky.refresh=3"})
    CHECK(names(sentence({"protection.name=leaky", key}), key.substr(0, key.find('='))));
  const std::string slow = "leaky.consolidation=slow";
  CHECK(names(sentence({"protection.name=leaky_lowrank", slow}), "leaky.consolidation"));
  CHECK(names(sentence({"protection.name=leaky", slow, "leaky.form=circuit"}), "leaky.form"));
  CHECK(names(sentence({"protection.name=leaky", slow, "tasks.boundaries=hidden", "boundaries.neurons=3"}),
              "boundaries.neurons"));
  CHECK(names(sentence({"tasks.mixing=0.5", "protection.name=joint"}), "tasks.mixing"));
}

TEST_CASE("keys that the chosen optimiser or schedule does not read are refused") {
  const auto refused = [](const std::vector<std::string>& arguments) {
    return !refused_key(arguments).empty();
  };
  for (const std::string adam : {"adam", "adamw"}) {
    CHECK(refused({"--optimiser.name=" + adam, "--optimiser.momentum=0.9"}));
    CHECK_FALSE(refused({"--optimiser.name=" + adam, "--optimiser.beta1=0.8", "--optimiser.beta2=0.9",
                         "--optimiser.epsilon=1e-6", "--optimiser.weight_decay=0.1"}));
  }
  for (const std::string key : {"beta1", "beta2", "epsilon"}) CHECK(refused({"--optimiser." + key + "=0.5"}));
  CHECK_FALSE(refused({"--optimiser.momentum=0.9", "--optimiser.weight_decay=0.1"}));
  for (const std::string schedule : {"constant", "cosine"}) {
    CHECK(refused({"--optimiser.schedule=" + schedule, "--optimiser.step_factor=0.5"}));
    CHECK(refused({"--optimiser.schedule=" + schedule, "--optimiser.step_epochs=2"}));
    CHECK_FALSE(refused({"--optimiser.schedule=" + schedule, "--optimiser.warm_up_epochs=0.5"}));
  }
  CHECK_FALSE(refused({"--optimiser.schedule=step", "--optimiser.step_factor=0.5",
                       "--optimiser.step_epochs=2", "--optimiser.warm_up_epochs=0.5"}));
}

}  // namespace
}  // namespace orthospike::testing
