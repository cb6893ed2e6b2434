#include "learning/logit_change.hpp"

#include <cmath>
#include <numeric>

#include "tests/learning/shown_set.hpp"

namespace orthospike::testing {
namespace {

/// A network whose read-out weights a test may change, and two earlier tasks whose answers lie among the logits 2 … 4.
struct Watched {
  static constexpr std::size_t hidden = 20, classes = 10, samples = 30;

  explicit Watched(Backend& b)
      : backend(b),
        trainer(b, config(), {.height = 8, .width = 8}, classes),
        images(b, digit_images().train, samples) {
    std::vector<std::uint32_t> order(64), all(samples);
    std::iota(order.begin(), order.end(), 0U);
    std::iota(all.begin(), all.end(), 0U);
    pixel_order = uploaded(backend, order);
    numbers = uploaded(backend, all);
    targets = uploaded(backend, std::vector<Target>(samples, {.label = 3, .first = 2, .last = 4}));
  }

  static Config config() {
    Config config;
    config.network.hidden = {hidden};
    config.training.batch_size = 8;
    config.set("protection.name", "none");
    return config;
  }

  std::vector<StoredTasks::TestSamples> tasks(std::size_t count) {
    return {count, {images.in(pixel_order.view()), numbers.view(), targets.view()}};
  }
  /// weight [hidden × classes] ← change(its number, weight)
  template <class Change>
  void change_readout(Change change) {
    Array<float>& weights = trainer.network().projections().back().weights;
    std::vector<float> values = downloaded(backend, weights);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = change(i, values[i]);
    backend.upload(std::span<const float>(values), weights.view());
  }
  template <class Change>
  double measured(std::size_t task_count, Change change) {
    LogitChange logit_change(trainer, 20);
    logit_change.begin_task(tasks(task_count));
    change_readout(change);
    return logit_change.end_task(tasks(task_count));
  }

  Backend& backend;
  Trainer trainer;
  ShownSet images;
  Array<std::uint32_t> pixel_order, numbers;
  Array<Target> targets;
};

}  // namespace

TEST_CASE("logits that grow by half change by half", "[logit_change]") {
  on_each_backend([](Backend& backend) {
    Watched at(backend);
    CHECK(at.measured(2, [](std::size_t, float weight) { return 1.5F * weight; }) == Approx(0.5));
    CHECK(at.measured(2, [](std::size_t, float weight) { return weight; }) == 0);
  });
}

TEST_CASE("logits of other heads and what all of a head have in common do not matter", "[logit_change]") {
  on_each_backend([](Backend& backend) {
    Watched at(backend);
    CHECK(at.measured(2, [](std::size_t i, float weight) {
      return i % Watched::classes < 2 || i % Watched::classes > 4 ? weight + 1 : weight;
    }) == 0);
    CHECK(at.measured(2, [](std::size_t i, float weight) {
      return weight + 0.1F * static_cast<float>(i / Watched::classes);
    }) < 1e-3);
    CHECK(at.measured(2, [](std::size_t i, float weight) {
      return i % Watched::classes == 4 ? weight + 1 : weight;
    }) > 0.1);
  });
}

TEST_CASE("without earlier tasks or samples logits are not measured", "[logit_change]") {
  const auto backend = make_backend("cpu", 1);
  Watched at(*backend);
  CHECK(std::isnan(at.measured(0, [](std::size_t, float weight) { return 2 * weight; })));
  LogitChange none(at.trainer, 0);
  none.begin_task(at.tasks(2));
  CHECK(std::isnan(none.end_task(at.tasks(2))));
}

TEST_CASE("earlier tasks share the samples", "[logit_change]") {
  const auto backend = make_backend("cpu", 1);
  Watched at(*backend);
  for (const auto& [tasks, shown] : {std::pair{1U, 20.0}, {2U, 20.0}, {30U, 30.0}}) {
    const double before = at.trainer.engine().work().samples;
    LogitChange logit_change(at.trainer, 20);
    logit_change.begin_task(at.tasks(tasks));
    CHECK(at.trainer.engine().work().samples - before == shown);
  }
}

}  // namespace orthospike::testing
