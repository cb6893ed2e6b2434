// Experiments and stored tasks of sequences other than permuted ones.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "kernels/error.hpp"
#include "learning/experiment.hpp"
#include "learning/stored_tasks.hpp"
#include "tests/learning/shown_set.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {
namespace {

struct Observer final : ExperimentObserver {
  void begins(const std::vector<TaskDescription>& its_tasks) override { tasks = its_tasks; }
  void warn(const std::string& sentence) override { warnings.push_back(sentence); }
  void training(const TrainingReport&) override {}
  void evaluated(const AccuracyMatrix&, std::size_t) override {}

  std::vector<TaskDescription> tasks;
  std::vector<std::string> warnings;
};

Config digits(const std::string& sequence) {
  Config config;
  config.set("tasks.sequence", sequence);
  config.data.mean = config.data.deviation = std::nullopt;
  config.network.hidden = {100};
  config.set("protection.name", "leaky");
  config.tasks.epochs = {4};
  config.metrics.quality_samples = 60;
  config.run.device = "cpu";
  config.run.threads = 1;
  return config;
}

/// Even digits of the test data, 6 × 5 pixels of them, in three channels.
ImageData small_colour_digits() {
  const auto cut = [](const ImageSet& set) {
    ImageSet result{
        .count = 0, .height = 6, .width = 5, .channels = 3, .pixels = {}, .labels = {}, .classes = 5};
    for (std::size_t i = 0; i < set.count; ++i) {
      if (set.labels[i] % 2 == 1) continue;
      ++result.count;
      result.labels.push_back(set.labels[i] / 2);
      for (std::size_t row = 1; row < 7; ++row) {
        for (std::size_t column = 1; column < 6; ++column)
          result.pixels.insert(result.pixels.end(), 3, set.pixels[i * 64 + row * 8 + column]);
      }
    }
    return result;
  };
  return {cut(digit_images().train), cut(digit_images().test)};
}

RunRecord run(const Config& config, const std::vector<ImageData>& data = {digit_images()}) {
  const TemporaryFolder folder;
  Observer observer;
  return run_experiment(config, data, folder.path(), observer);
}

std::vector<std::uint64_t> samples_shown(const RunRecord& record) {
  std::vector<std::uint64_t> samples;
  for (const TaskCosts& costs : record.costs) samples.push_back(costs.training_samples);
  return samples;
}

/// Of the two digits of each task.
std::vector<std::uint64_t> pairs_of_digits() {
  std::vector<std::uint64_t> counts(5);
  for (const std::uint8_t label : digit_images().train.labels) ++counts[label / 2];
  return counts;
}

std::string refusal(const Config& config, const std::vector<ImageData>& data) {
  try {
    run(config, data);
  } catch (const EnvironmentError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("split digits are learned with each kind of head, and the run says which", "[tasks]") {
  for (const std::string head : {"task", "all", "shared"}) {
    INFO(head);
    Config config = digits("split");
    config.set("split.head", head);
    if (head == "all") config.set("protection.name", "none");
    const RunRecord record = run(config);
    const AccuracyMatrix& accuracy = record.accuracy;
    REQUIRE(accuracy.tasks() == 5);
    CHECK(accuracy.learning_accuracy(5) > 0.9);
    std::vector<std::uint64_t> lengths = pairs_of_digits();
    for (std::uint64_t& length : lengths) length *= 4;
    CHECK(samples_shown(record) == lengths);
    CHECK(record.tasks[1].name == "classes 2, 3");
    for (const TaskDescription& task : record.tasks) CHECK(task.told == (head == "task"));
    // What is measured of weights that tasks share.
    CHECK_FALSE(std::isnan(record.reports[1].projections[0].leak));
    CHECK(std::isnan(record.reports[1].projections[1].leak) == (head == "task"));
    // An untrained network guesses among the logits of the head.
    const double guess = accuracy.at(0, 1) + accuracy.at(0, 2) + accuracy.at(0, 3) + accuracy.at(0, 4);
    CHECK(guess / 4 == Approx(head == "all" ? 0.1 : 0.5).margin(head == "all" ? 0.15 : 0.25));
    if (head == "task") CHECK(accuracy.average_accuracy(5) > 0.9);
    if (head == "all") CHECK(accuracy.average_accuracy(5) < 0.4);  // the last tasks' logits answer for all
  }
}

/// A trainer that has learned one batch of the second of five tasks of two digits each.
class OneBatch {
 public:
  OneBatch(Backend& backend, const std::string& protection, const std::string& head)
      : backend_(backend),
        config_(config(protection, head)),
        data_{digit_images()},
        sequence_(config_.sequence.make(
            TaskContext{.data = data_, .settings = {.train_samples = {20}}, .seed = 1})),
        trainer_(backend, config_, sequence_->shape(), sequence_->logits()),
        before_(downloaded(backend, readout().weights)) {
    StoredTasks tasks(backend, *sequence_);
    const auto samples = uploaded(backend, tasks.task(1).train);
    const auto targets = uploaded(backend, tasks.training_targets(1));
    auto loss = backend.allocate<double>(1);
    auto correct = backend.allocate<std::uint32_t>(1);
    trainer_.begin_task(0, {.epochs = 1, .updates_per_epoch = 1});
    const Share share{20, tasks.training_images(1)};
    trainer_.train_batch(
        {.samples = samples.view(), .targets = targets.view(), .shares = std::span(&share, 1)}, loss.view(),
        correct.view());
  }

  Trainer& trainer() { return trainer_; }
  const Projection& readout() { return trainer_.network().projections().back(); }
  /// Neurons of the read-out that have other weights than before.
  std::set<std::size_t> changed() {
    const std::vector<float> after = downloaded(backend_, readout().weights);
    std::set<std::size_t> found;
    for (std::size_t i = 0; i < after.size(); ++i) {
      if (after[i] != before_[i]) found.insert(i % readout().targets());
    }
    return found;
  }

 private:
  static Config config(const std::string& protection, const std::string& head) {
    Config config = digits("split");
    config.data.mean = 0.287F;
    config.data.deviation = 0.354F;
    config.set("split.head", head);
    config.set("protection.name", protection);
    if (protection == "hlop") config.set("hlop.ranks", "3");
    config.training.batch_size = 20;
    return config;
  }

  Backend& backend_;
  Config config_;
  std::vector<ImageData> data_;
  std::unique_ptr<TaskSequence> sequence_;
  Trainer trainer_;
  std::vector<float> before_;
};

TEST_CASE("a task that is told changes its own read-out alone", "[tasks]") {
  on_each_backend([](Backend& backend) {
    CHECK(OneBatch(backend, "none", "task").changed() == std::set<std::size_t>{2, 3});
  });
}

TEST_CASE("read-outs are kept where tasks share them, and left alone where each has its own", "[tasks]") {
  const auto backend = make_backend("cpu", 1, {});
  for (const std::string& protection : protections().names()) {
    if (protection == "none" || protection == "leaky_lowrank") continue;  // has no neurons after one batch
    for (const std::string head : {"task", "all", "shared"}) {
      INFO(protection << ", " << head);
      OneBatch learned(*backend, protection, head);
      learned.trainer().end_task();
      Protection& kept = learned.trainer().protection();
      const std::size_t readout = learned.trainer().network().projections().size() - 1;
      CHECK(kept.change_operator(0) != nullptr);
      CHECK(kept.memory(0) > 0);
      const bool shared = head != "task";
      CHECK((kept.change_operator(readout) != nullptr) == shared);
      CHECK((kept.presynaptic_operator(readout) != nullptr) == shared);
      CHECK((kept.effective_rank(readout) > 0) == shared);
      CHECK((kept.memory(readout) > 0) == shared);
      CHECK((kept.subspace(readout) != nullptr) == (shared && kept.subspace(0) != nullptr));
    }
  }
}

TEST_CASE("tasks of unequal length are learned, replayed, mixed, detected and joined", "[tasks]") {
  const std::vector<std::uint64_t> pairs = pairs_of_digits();
  Config config = digits("split");
  config.set("tasks.epochs", "3,4,3");
  config.set("tasks.train_samples", "600,0,500,0");  // which lie class by class
  std::vector<std::uint64_t> lengths = {1800, 4 * pairs[1], 1500, 3 * pairs[3], 3 * pairs[4]};

  SECTION("with hidden and gradual boundaries") {
    config.set("tasks.boundaries", "hidden");
    config.set("tasks.mixing", "0.4");
    const RunRecord record = run(config);
    CHECK(samples_shown(record) == lengths);
    CHECK(record.accuracy.average_accuracy(5) > 0.8);
  }
  SECTION("with replay, of tasks that store fewer samples, too") {
    config.set("protection.name", "leaky+replay");
    config.set("replay.samples_per_class", "120");  // the third task has fewer of its second class
    config.set("replay.epochs", "2");
    config.set("tasks.train_samples", "600,0,400,0");
    lengths[2] = 1200;
    for (std::size_t k = 1; k < 5; ++k) lengths[k] += 2 * 240 * (k + 1);
    const RunRecord record = run(config);
    CHECK(samples_shown(record) == lengths);
    // The third task is shown one of its two classes, and can but guess.
    for (const std::size_t task : {1U, 2U, 4U, 5U}) CHECK(record.accuracy.at(5, task) > 0.93);
  }
  SECTION("jointly") {
    config.set("protection.name", "joint");
    const RunRecord record = run(config);
    CHECK(samples_shown(record).back() == 3 * (600 + pairs[1] + 500 + pairs[3] + pairs[4]));
    CHECK(record.accuracy.average_accuracy(5) > 0.9);
  }
  SECTION("on held-back samples") {
    config.set("tasks.held_back_samples", "50,30");
    const RunRecord record = run(config);
    lengths[1] = 4 * (pairs[1] - 30);
    lengths[3] = 3 * (pairs[3] - 30);
    lengths[4] = 3 * (pairs[4] - 30);
    CHECK(samples_shown(record) == lengths);
    const double hits = record.accuracy.at(5, 1) * 50;
    CHECK(hits == Approx(std::round(hits)).margin(1e-9));
  }
}

/// Losses, update by update, of single samples by a network that hardly learns: they tell which sample is shown.
std::vector<double> losses_of(Config config) {
  config.set("protection.name", "none");
  config.set("optimiser.learning_rate", "1e-30");
  config.tasks.train_samples = {16};
  config.training.batch_size = 1;
  const TemporaryFolder folder;
  Observer observer;
  run_experiment(config, {digit_images()}, folder.path(), observer);
  return Hdf5File::open(folder.path() / RunFile::name).read<double>("/curves/loss");
}

TEST_CASE("each epoch of each task shows the same samples in an order of its own", "[tasks]") {
  Config config = digits("rotated");
  config.set("rotated.angles", "0, 0, 0");
  config.set("tasks.epochs", "2,1");
  const std::vector<double> losses = losses_of(config);
  REQUIRE(losses.size() == 4 * 16);
  std::set<std::vector<double>> orders, sets;
  for (auto first = losses.begin(); first != losses.end(); first += 16) {
    std::vector<double> epoch(first, first + 16);
    orders.insert(epoch);
    std::ranges::sort(epoch);
    sets.insert(epoch);
  }
  CHECK(orders.size() == 4);
  CHECK(sets.size() == 1);
}

TEST_CASE("mixed tasks show each sample once an epoch", "[tasks]") {
  Config config = digits("rotated");
  config.set("rotated.angles", "0, 90");
  config.set("tasks.epochs", "3,2");
  config.set("tasks.mixing", "1");
  const std::vector<double> losses = losses_of(config);
  REQUIRE(losses.size() == 5 * 16);
  const std::set<double> of_first(losses.begin(),
                                  losses.begin() + 24);  // ahead of the window of 16 on either side
  CHECK(of_first.size() == 16);
  for (const double loss : losses)
    CHECK(std::ranges::count(losses, loss) == (of_first.contains(loss) ? 3 : 2));
}

TEST_CASE("rotated tasks lose what their angles differ by", "[tasks]") {
  Config config = digits("rotated");
  config.set("rotated.angles", "0, 180");
  config.set("protection.name", "none");
  const RunRecord record = run(config);
  CHECK(record.accuracy.at(1, 1) > 0.8);
  CHECK(record.accuracy.at(1, 2) < 0.7);
  CHECK(record.accuracy.at(2, 2) > 0.8);
}

TEST_CASE("data sets of several shapes and classes join", "[tasks]") {
  Config config = digits("joined");
  config.data.name = "digits, small";
  for (const std::string fit : {"pad", "scale"}) {
    config.set("joined.fit", fit);
    const RunRecord record = run(config, {digit_images(), small_colour_digits()});
    CHECK(record.accuracy.tasks() == 2);
    CHECK(record.accuracy.average_accuracy(2) > 0.75);
    CHECK(record.tasks[1].told);
  }
  config.set("joined.head", "shared");
  CHECK_FALSE(run(config, {digit_images(), small_colour_digits()}).tasks[1].told);
}

TEST_CASE("auto takes mean and deviation of the training samples", "[tasks]") {
  Config config = digits("permuted");
  config.set("tasks.count", "1");
  config.tasks.train_samples = {500};
  const RunRecord automatic = run(config);
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < 500 * 64; ++i) {
    const double value = digit_images().train.pixels[i] / 255.0;
    sum += value;
    squares += value * value;
  }
  const double mean = sum / (500 * 64);
  config.data.mean = static_cast<float>(mean);
  config.data.deviation = static_cast<float>(std::sqrt(squares / (500 * 64) - mean * mean));
  CHECK(automatic.accuracy.at(1, 1) == Approx(run(config).accuracy.at(1, 1)).margin(0.005));
  CHECK(automatic.config.find("mean = auto") != std::string::npos);

  ImageData black = digit_images();
  std::ranges::fill(black.train.pixels, std::uint8_t{7});
  config.data.mean = std::nullopt;
  CHECK(refusal(config, {black}).find("data.") == std::string::npos);
  config.data.deviation = std::nullopt;
  CHECK(refusal(config, {black}) ==
        "data.deviation: all pixels of the training samples are equal, so that auto is 0");
}

TEST_CASE("more samples than there are are warned of", "[tasks]") {
  Config config = digits("permuted");
  config.set("tasks.count", "1");
  config.tasks.train_samples = {100000};
  config.set("protection.name", "none");
  const TemporaryFolder folder;
  Observer observer;
  run_experiment(config, {digit_images()}, folder.path(), observer);
  REQUIRE(observer.warnings.size() == 1);
  CHECK(observer.warnings[0].starts_with(
      "tasks.train_samples asks for 100000 training samples of task 1, which has"));
  CHECK(observer.tasks.size() == 1);
}

TEST_CASE("where each data set is scaled by moments of its own, its images have them", "[tasks]") {
  const auto backend = make_backend("cpu", 1);
  const std::vector<ImageData> data = {digit_images(), digit_images()};
  const TaskContext context{.data = data,
                            .settings = {.train_samples = {9, 40}},
                            .seed = 1,
                            .scaling = DataSettings::Scaling::each};
  const auto joined = task_sequences().make("joined", context);
  StoredTasks tasks(*backend, *joined);
  for (const std::size_t k : {0U, 1U}) {
    const PixelMoments own = joined->own_moments(k).value();
    for (const ShownImages& images : {tasks.training_images(k), tasks.test_samples(k).images}) {
      REQUIRE(images.moments);
      CHECK(images.moments->mean == own.mean);
      CHECK(images.moments->deviation == own.deviation);
    }
  }
  CHECK(tasks.training_images(0).moments->mean != tasks.training_images(1).moments->mean);
}

TEST_CASE("tasks that show the same images store them once, and forget what no task shows again", "[tasks]") {
  const auto backend = make_backend("cpu", 1);
  const std::vector<ImageData> data = {digit_images()};
  const auto stored = [&](const std::string& name, const TaskSettings& settings) {
    return task_sequences().make(name, TaskContext{.data = data, .settings = settings, .seed = 1});
  };
  const auto permuted = stored("permuted", {.train_samples = {5, 9, 7}});
  StoredTasks shared(*backend, *permuted);
  const ShownImages first = shared.training_images(0), second = shared.training_images(1);
  CHECK(first.pixels.size() == 9 * 64);
  CHECK(first.pixels.address() == second.pixels.address());
  CHECK(first.pixel_order.address() != second.pixel_order.address());
  shared.forget_training_images_before(9);  // the last task shows them
  CHECK(shared.training_images(0).pixels.address() == first.pixels.address());

  const auto rotated = stored("rotated", {.train_samples = {5}, .held_back_samples = {2}});
  StoredTasks own(*backend, *rotated);
  const ShownImages turned = own.training_images(1);
  CHECK(turned.pixels.address() != own.training_images(0).pixels.address());
  CHECK(backend->download(turned.pixels) ==
        rendered(data[0].train, turned.pixels.size() / 64, own.task(1).rendering));
  own.forget_training_images_before(9);  // held-back samples are test images
  CHECK(own.training_images(1).pixels.address() == turned.pixels.address());
  const StoredTasks::TestSamples tested = own.test_samples(1);
  CHECK(tested.images.pixels.address() == turned.pixels.address());
  CHECK(backend->download(tested.samples) == own.task(1).test);
  const std::uint8_t label = data[0].train.labels[own.task(1).test[1]];
  CHECK(backend->download(tested.targets)[1].label == label);
  CHECK(backend->download(tested.targets)[1].last == 9);
}

}  // namespace
}  // namespace orthospike::testing
