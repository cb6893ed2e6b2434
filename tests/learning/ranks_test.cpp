#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <numeric>
#include <utility>

#include "learning/checkpoint.hpp"
#include "learning/trainer.hpp"
#include "tests/conformance/backends.hpp"
#include "tests/learning/shown_set.hpp"
#include "tests/learning/thread_ranks.hpp"
#include "tests/temporary_folder.hpp"

// Several ranks learn what one does, with every part that is registered and in the forms that parts have.

namespace orthospike::testing {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

constexpr std::size_t samples_of_task = 96, tested = 25, classes = 10;
/// The last ones are smaller than the number of ranks, or cannot be divided among them.
constexpr std::array<std::size_t, 6> batches = {16, 16, 15, 2, 1, 16};

Config config_of(const Settings& settings) {
  Config config;
  config.data.mean = 0.287F;
  config.data.deviation = 0.354F;
  config.network.hidden = {20, 15};
  config.training.batch_size = 16;
  config.clock.steps = 6;
  config.clock.dt = 0.1F;
  for (const auto& [key, value] : settings) config.set(key, value);
  return config;
}

/// What is left of a training, as one rank has it.
struct Trained {
  std::vector<std::vector<float>> weights;  ///< of each projection
  std::vector<float> thresholds;
  std::vector<double> effective_ranks;
  std::vector<std::uint32_t> boundaries;
  std::vector<double> detector;  ///< all that the boundary detector keeps
  double loss = 0, correct = 0;  ///< over all batches and ranks
  Evaluation evaluation;
};

/// The numbers of a part that a checkpoint would have.
class Kept final : public Archive {
 public:
  Kept(Backend& backend, std::string part) : Archive(backend, false, true, {}), part_(std::move(part)) {}

  std::vector<double> numbers;

 private:
  void save(const std::string& object, const Hdf5Values& values) override {
    if (object.find(part_) == std::string::npos) return;
    std::visit([&](const auto& of) { numbers.insert(numbers.end(), of.begin(), of.end()); }, values);
  }
  Hdf5Values load(const std::string& /*object*/) override { return {}; }
  std::string source() const override { return ""; }

  std::string part_;
};

std::vector<std::vector<float>> weights_of(Trainer& trainer) {
  std::vector<std::vector<float>> all;
  for (std::size_t p = 0; p < trainer.network().projections().size(); ++p) {
    Backend& backend = trainer.network().backend();
    all.push_back(downloaded(backend, std::as_const(trainer.network()).projections()[p].weights));
    const Matrix feedback = trainer.feedback().learned_weights(p);
    if (!feedback.empty()) all.push_back(backend.download(View<const float>(feedback.values)));
  }
  return all;
}

/// A rank that learns two tasks, the second one shows the images backwards.
class Learner {
 public:
  Learner(const Config& config, Communicator& ranks)
      : config_(config),
        ranks_(ranks),
        images_(*backend_, digit_images().train, samples_of_task),
        trainer_(*backend_, config, {.height = 8, .width = 8}, classes, ranks) {
    std::vector<std::uint32_t> numbers(samples_of_task);
    std::iota(numbers.begin(), numbers.end(), 0U);
    samples_ = uploaded(*backend_, numbers);
    std::vector<std::uint32_t> order(64);
    std::iota(order.begin(), order.end(), 0U);
    orders_[0] = uploaded(*backend_, order);
    std::ranges::reverse(order);
    orders_[1] = uploaded(*backend_, order);
  }

  Trainer& trainer() { return trainer_; }
  Backend& backend() { return *backend_; }

  void begin_task(std::size_t task) {
    const bool told = config_.tasks.boundaries == TaskSettings::Boundaries::known || task == 0;
    if (told) trainer_.begin_task(task, {.epochs = 1, .updates_per_epoch = batches.size()});
  }
  void end_task(std::size_t task) {
    if (config_.tasks.boundaries == TaskSettings::Boundaries::known) trainer_.end_task();
    if (!config_.protection.has_replay() || task == 0) return;
    trainer_.begin_replay();
    // Shares of both tasks; of the last update one is smaller than the number of ranks.
    for (const std::size_t size : {8U, 2U}) {
      const std::vector<Share> shares = {{size, images_.in(orders_[0].view())},
                                         {size, images_.in(orders_[1].view())}};
      const View<const std::uint32_t> samples = samples_.view().subview(size, 2 * size);
      const Array<Target> targets = images_.targets(samples);
      trainer_.replay_batch({.samples = samples, .targets = targets.view(), .shares = shares}, loss_.view(),
                            correct_.view());
    }
  }
  void train(std::size_t task, std::size_t from, std::size_t to) {
    std::size_t first = std::accumulate(batches.begin(), batches.begin() + static_cast<long>(from), 0UL);
    for (; from < to; first += batches[from++]) {
      const std::size_t size = batches[from], others = size / 3;
      // The first ones of each batch as the other task shows them.
      std::vector<Share> shares = {{size - others, images_.in(orders_[task].view())}};
      if (others > 0) shares.insert(shares.begin(), {others, images_.in(orders_[1 - task].view())});
      images_.train(trainer_, samples_.view().subview(first, size), shares, loss_.view(), correct_.view());
    }
  }
  void learn() {
    for (const std::size_t task : {0U, 1U}) {
      begin_task(task);
      train(task, 0, batches.size());
      end_task(task);
    }
  }

  Trained result() {
    Trained all;
    all.weights = weights_of(trainer_);
    for (const Population& population : trainer_.network().populations()) {
      if (population.neuron == nullptr) continue;
      const auto threshold = backend_->download(View<const float>(population.neuron->threshold()));
      all.thresholds.insert(all.thresholds.end(), threshold.begin(), threshold.end());
      if (population.normalisation == nullptr) continue;
      for (const View<float> values :
           {population.normalisation->gain(), population.normalisation->offset()}) {
        const auto constants = backend_->download(View<const float>(values));
        all.thresholds.insert(all.thresholds.end(), constants.begin(), constants.end());
      }
    }
    for (std::size_t p = 0; p < trainer_.network().projections().size(); ++p)
      all.effective_ranks.push_back(trainer_.protection().effective_rank(p));
    all.boundaries = trainer_.detected_boundaries();
    Kept detector(*backend_, "/boundary_detector/");
    trainer_.state(detector);
    all.detector = detector.numbers;
    std::array<double, 2> sums{downloaded(*backend_, loss_)[0],
                               static_cast<double>(downloaded(*backend_, correct_)[0])};
    ranks_.sum(std::span(sums));
    all.loss = sums[0];
    all.correct = sums[1];
    const Array<Target> targets = images_.targets(samples_.view().subview(0, tested));
    all.evaluation =
        trainer_.evaluate(images_.in(orders_[1].view()), samples_.view().subview(0, tested), targets.view());
    return all;
  }

 private:
  const Config& config_;
  Communicator& ranks_;
  std::unique_ptr<Backend> backend_ = make_backend("cpu", 1);
  ShownSet images_;
  Trainer trainer_;
  Array<std::uint32_t> samples_;
  std::array<Array<std::uint32_t>, 2> orders_;
  Array<double> loss_ = backend_->allocate<double>(1);
  Array<std::uint32_t> correct_ = backend_->allocate<std::uint32_t>(1);
};

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
  return std::sqrt(sum);
}

/// Weights of `found` differ by this part of what training changed.
double error(const Trained& found, const Trained& expected,
             const std::vector<std::vector<float>>& untrained) {
  double largest = 0;
  for (std::size_t i = 0; i < expected.weights.size(); ++i) {
    const double change = distance(expected.weights[i], untrained[i]);
    const double difference = distance(found.weights[i], expected.weights[i]);
    largest = std::max(largest, change == 0 ? difference : difference / change);
  }
  return largest;
}

/// Sums of floats in another order, and what a spike that comes or does not come by one makes of it.
constexpr double rounding = 2e-3;

void check_alike(const Trained& found, const Trained& expected,
                 const std::vector<std::vector<float>>& untrained) {
  CHECK(error(found, expected, untrained) < rounding);
  REQUIRE(found.thresholds.size() == expected.thresholds.size());
  for (std::size_t i = 0; i < found.thresholds.size(); ++i)
    CHECK(std::abs(found.thresholds[i] - expected.thresholds[i]) < rounding);
  for (std::size_t p = 0; p < found.effective_ranks.size(); ++p)
    CHECK(std::abs(found.effective_ranks[p] - expected.effective_ranks[p]) < rounding * 20);
  CHECK(found.boundaries == expected.boundaries);
  REQUIRE(found.detector.size() == expected.detector.size());
  for (std::size_t i = 0; i < found.detector.size(); ++i)
    CHECK(std::abs(found.detector[i] - expected.detector[i]) < rounding);
  CHECK(std::abs(found.loss - expected.loss) < rounding * expected.loss);
  CHECK(std::abs(found.correct - expected.correct) <= 1);
  CHECK(std::abs(found.evaluation.accuracy - expected.evaluation.accuracy) <= 1.0 / tested + 1e-9);
  CHECK(std::abs(found.evaluation.loss - expected.evaluation.loss) < rounding * expected.evaluation.loss);
}

void check_ranks(const Settings& settings) {
  std::string what;
  for (const auto& [key, value] : settings) what += fmt::format("{} = {}  ", key, value);
  INFO(what);
  const Config config = config_of(settings);
  Learner one(config, alone());
  const std::vector<std::vector<float>> untrained = weights_of(one.trainer());
  one.learn();
  const Trained expected = one.result();
  for (const std::size_t size : {2U, 3U}) {
    INFO(size << " ranks");
    std::vector<Trained> found(size);
    ThreadRanks(size).run([&](Communicator& ranks) {
      Learner rank(config, ranks);
      rank.learn();
      found[ranks.rank()] = rank.result();
    });
    check_alike(found[0], expected, untrained);
    for (const Trained& other : found) {  // all bits
      CHECK(other.weights == found[0].weights);
      CHECK(other.thresholds == found[0].thresholds);
      CHECK(other.effective_ranks == found[0].effective_ranks);
    }
  }
}

std::string neuron_of(const std::string& rule) {
  return rule == "dsr" ? "lif_dsr" : "lif";
}

Settings with(Settings settings, const Settings& more) {
  settings.insert(settings.end(), more.begin(), more.end());
  return settings;
}

const Settings lif = {{"neuron.model", "lif"}, {"rule.name", "bptt"}};

}  // namespace

TEST_CASE("slices of ranks lie in order, cover all and differ by one at most", "[ranks][threads]") {
  for (const std::size_t size : {1U, 2U, 3U, 7U}) {
    for (const std::size_t count : {0U, 1U, 2U, 6U, 7U, 64U}) {
      std::vector<Communicator::Slice> slices(size);
      ThreadRanks(size).run([&](Communicator& ranks) { slices[ranks.rank()] = ranks.slice(count); });
      std::size_t next = 0;
      for (const auto& [first, own] : slices) {
        CHECK(first == next);
        CHECK(own >= count / size);
        CHECK(own <= (count + size - 1) / size);
        next += own;
      }
      CHECK(next == count);
    }
  }
}

TEST_CASE("sums are those over all ranks, and what they sent is counted", "[ranks][threads]") {
  const auto backend = make_backend("reference", 1);
  CHECK_FALSE(alone().any(false));
  CHECK(alone().any(true));
  CHECK(alone().bytes_sent() == 0);
  std::mutex mutex;
  ThreadRanks(3).run([&](Communicator& ranks) {
    const auto own = make_backend("reference", 1);
    Array<float> values = uploaded<float>(*own, {1, static_cast<float>(ranks.rank()), 3, 4, 5, 6, 7});
    ranks.sum(*own, values.view());
    const bool any = ranks.any(ranks.rank() == 2), none = ranks.any(false);
    const std::scoped_lock lock(mutex);
    CHECK(downloaded(*own, values) == std::vector<float>{3, 3, 9, 12, 15, 18, 21});
    CHECK(any);
    CHECK_FALSE(none);
    CHECK(ranks.bytes_sent() == Approx(4.0 / 3 * (7 * 4 + 2 * 8)));
  });
}

TEST_CASE("ranks learn what one does by every rule", "[ranks][threads]") {
  for (const std::string& rule : rules().names()) {
    check_ranks({{"neuron.model", neuron_of(rule)}, {"rule.name", rule}, {"protection.name", "none"}});
    check_ranks({{"neuron.model", neuron_of(rule)}, {"rule.name", rule}, {"hlop.ranks", "3"}});
  }
  check_ranks({{"neuron.model", "lif"}, {"rule.name", "ottt"}, {"rule.update", "step"}, {"hlop.ranks", "3"}});
  check_ranks(
      {{"neuron.model", "lif"}, {"rule.name", "rstdp"}, {"rule.modulation", "error"}, {"hlop.ranks", "3"}});
  check_ranks(
      {{"neuron.model", "lif"}, {"rule.name", "stdp"}, {"rule.stdp", "triplet"}, {"hlop.ranks", "3"}});
  check_ranks(with(lif, {{"network.recurrent", "true"}, {"hlop.ranks", "3"}}));
}

TEST_CASE("ranks learn what one does with every neuron, feedback and optimiser", "[ranks][threads]") {
  for (const std::string& neuron : neuron_models().names()) {
    check_ranks({{"neuron.model", neuron},
                 {"rule.name", neuron == "lif_dsr" ? "dsr" : "bptt"},
                 {"protection.name", "leaky"}});
  }
  for (const std::string& feedback : error_feedbacks().names())
    check_ranks(with(lif, {{"feedback.name", feedback}, {"protection.name", "leaky"}}));
  for (const std::string& optimiser : optimisers().names()) {
    const Settings slowly = {{"optimiser.name", optimiser}, {"optimiser.learning_rate", "0.001"}};
    check_ranks(with(slowly, {{"protection.name", "leaky"}}));
    check_ranks(
        with(slowly,
             {{"protection.name", "replay"}, {"replay.batch_size", "8"}, {"replay.learning_rate", "0.001"}}));
  }
  check_ranks({{"optimiser.momentum", "0.9"}, {"protection.name", "leaky"}});
  check_ranks({{"optimiser.weight_decay", "0.01"}, {"protection.name", "leaky"}});
}

TEST_CASE("ranks learn what one does under every protection", "[ranks][threads]") {
  for (const std::string& protection : protections().names()) {
    check_ranks({{"protection.name", protection}});
    check_ranks(with(lif, {{"protection.name", protection}}));
    check_ranks({{"protection.name", protection == "none" ? "replay" : protection + "+replay"},
                 {"replay.batch_size", "8"}});
  }
  for (const std::string& extractor : extractors().names())
    check_ranks({{"hlop.extractor", extractor}, {"hlop.ranks", "3"}});
  for (const std::string& neurons : lateral_neurons().names())
    check_ranks({{"hlop.lateral_neurons", neurons}, {"hlop.ranks", "3"}});
}

TEST_CASE("ranks learn what one does under the forms that protections have", "[ranks][threads]") {
  for (const Settings& settings : std::vector<Settings>{
           {{"protection.name", "leaky"}, {"leaky.consolidation", "slow"}, {"leaky.refresh", "4"}},
           {{"protection.name", "leaky"}, {"leaky.form", "circuit"}},
           {{"protection.name", "leaky"}, {"leaky.form", "circuit"}, {"leaky.learning_rate", "0.5"}},
           {{"protection.name", "leaky"}, {"leaky.form", "circuit"}, {"leaky.lateral_neurons", "spiking"}},
           {{"protection.name", "leaky_lowrank"}, {"leaky.growth_batches", "2"}, {"leaky.growth", "3"}},
           {{"protection.name", "kfac"}, {"kfac.directions", "4"}},
           {{"protection.name", "kfac"}, {"kfac.form", "separable"}},
           {{"protection.name", "kfac"}, {"kfac.form", "circuit"}},
           {{"protection.name", "kfac"}, {"kfac.form", "circuit"}, {"kfac.lateral_neurons", "spiking"}},
           {{"hlop.ranks", "3"}, {"hlop.orthonormalise", "true"}},
           {{"hlop.ranks", "3"}, {"network.bias", "all"}},
           {{"hlop.ranks", "3"}, {"network.layers", "4c3, lif, p2"}},
           {{"protection.name", "kfac"}, {"network.layers", "4c3, lif, p2, 9, lif"}},
           {{"protection.name", "leaky"},
            {"network.layers", "4c3, bn, lif, p2, 9, bn, lif"},
            {"normalisation.statistics", "frozen"}},
           {{"tasks.boundaries", "hidden"}, {"boundaries.distance", "4"}, {"protection.name", "leaky"}}}) {
    check_ranks(settings);
  }
}

TEST_CASE("statistics of a batch are refused where each rank has a part of it", "[ranks]") {
  for (const std::string statistics : {"first_task", "each_step"}) {
    const Config config =
        config_of({{"network.layers", "9, bn, lif"}, {"normalisation.statistics", statistics}});
    CHECK_THROWS_WITH(
        ThreadRanks(2).run([&](Communicator& ranks) { Learner(config, ranks); }),
        "normalisation.statistics: those of a batch are of all its samples, of which each rank has a part; run one "
        "rank, or use frozen");
  }
}

TEST_CASE("ranks notice that they do not learn the same", "[ranks][threads]") {
  const Config config = config_of({{"protection.name", "none"}});
  std::array<bool, 3> before{}, after{};
  ThreadRanks(3).run([&](Communicator& ranks) {
    Learner rank(config, ranks);
    rank.begin_task(0);
    rank.train(0, 0, 2);
    before[ranks.rank()] = rank.trainer().ranks_agree();
    const View<float> weight = rank.trainer().network().projections()[1].weights.view().subview(7, 1);
    const std::vector<float> other = {
        std::nextafter(rank.backend().download(View<const float>(weight))[0], 1.0F)};
    if (ranks.rank() == 1) rank.backend().upload(std::span(other), weight);
    after[ranks.rank()] = rank.trainer().ranks_agree();
  });
  CHECK(before == std::array{true, true, true});
  CHECK(after == std::array{false, false, false});
  Learner one(config, alone());
  CHECK(one.trainer().ranks_agree());
}

TEST_CASE("a checkpoint of some ranks is one that others go on from", "[ranks][threads]") {
  for (const Settings& settings : std::vector<Settings>{
           {{"protection.name", "leaky"}},
           {{"protection.name", "leaky"}, {"leaky.form", "circuit"}},
           {{"protection.name", "leaky"}, {"leaky.consolidation", "slow"}, {"leaky.refresh", "4"}},
           {{"protection.name", "leaky_lowrank"}, {"leaky.growth_batches", "2"}, {"leaky.growth", "3"}},
           {{"protection.name", "gpm"}},
           {{"protection.name", "kfac"}},
           {{"hlop.ranks", "3"}, {"optimiser.momentum", "0.9"}}}) {
    INFO(settings[0].second);
    const Config config = config_of(settings);
    Learner one(config, alone());
    const std::vector<std::vector<float>> untrained = weights_of(one.trainer());
    one.learn();
    const Trained expected = one.result();
    const TemporaryFolder folder;
    std::mutex one_reads;  // HDF5 is for one thread
    Trained found;
    // Each learns a part of one batch after the other, from where the one before came to.
    std::size_t done = 0;
    for (const std::size_t size : {2U, 3U, 1U, 2U}) {
      const std::size_t from = done, to = done + batches.size() / 2;
      done = to;
      ThreadRanks(size).run([&](Communicator& ranks) {
        Learner rank(config, ranks);
        if (from > 0) {
          const std::scoped_lock lock(one_reads);
          const auto checkpoint = find_checkpoint(folder.path(), [](const std::string&) {});
          load_checkpoint(*checkpoint, rank.backend(), ranks,
                          [&](Archive& archive) { archive("trainer", rank.trainer()); });
        }
        const std::size_t task = from / batches.size(), first = from % batches.size();
        if (first == 0) rank.begin_task(task);
        rank.train(task, first, first + to - from);
        if (to % batches.size() == 0) rank.end_task(task);
        ranks.any(false);  // nobody reads any more
        write_checkpoint(folder.path(), {.config = "", .version = "", .git_revision = "", .device = ""},
                         rank.backend(), ranks,
                         [&](Archive& archive) { archive("trainer", rank.trainer()); });
        const Trained result = rank.result();
        if (ranks.is_first()) found = result;
      });
    }
    CHECK(error(found, expected, untrained) < rounding);
    for (std::size_t p = 0; p < found.effective_ranks.size(); ++p)
      CHECK(std::abs(found.effective_ranks[p] - expected.effective_ranks[p]) < rounding * 20);
  }
}

}  // namespace orthospike::testing
