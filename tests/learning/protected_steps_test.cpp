#include <fmt/format.h>

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "learning/trainer.hpp"
#include "tests/conformance/backends.hpp"
#include "tests/learning/shown_set.hpp"

namespace orthospike::testing {
namespace {

struct Variant {
  std::string optimiser;
  float momentum, weight_decay;
  std::string rule = "dsr", update = "sequence";
  bool recurrent = false;
};

const Variant variants[] = {{"sgd", 0, 0},
                            {"sgd", 0.9F, 0},
                            {"sgd", 0, 0.1F},
                            {"sgd", 0.9F, 0.1F},
                            {"adam", 0, 0},
                            {"adam", 0, 0.1F},
                            {"adamw", 0, 0},
                            {"adamw", 0, 0.1F},
                            {"sgd", 0.9F, 0, "bptt"},
                            {"adam", 0, 0, "bptt"},
                            {"sgd", 0.9F, 0, "ottt"},
                            {"adam", 0, 0, "ottt"},
                            {"sgd", 0, 0, "ottt", "step", true},
                            {"sgd", 0.9F, 0, "eprop"},
                            {"adam", 0, 0, "eprop", "sequence", true}};

constexpr std::size_t updates = 6;

Config config_of(const Variant& variant, const std::string& protection) {
  Config config;
  config.training.batch_size = 24;  // more than the read-out has neurons: there gradients are projected
  config.network.hidden = {40, 30};
  config.set("hlop.ranks", variant.recurrent ? "8,12,12,12,12" : "8,12,12");
  config.network.recurrent = variant.recurrent;
  config.set("rule.name", variant.rule);
  config.set("rule.update", variant.update);
  if (variant.rule != "dsr") {
    config.set("neuron.model", variant.recurrent ? "alif" : "lif");
    config.set("neuron.steps", "6");
    config.set("neuron.dt", "1");
    config.set("neuron.tau", "2");
    config.set("neuron.threshold", "0.5");
  }
  config.set("hlop.orthonormalise", "true");
  config.set("hebbian.learning_rate", "0.05");
  config.set("protection.name", protection);
  config.set("tasks.count", "2");
  config.set("optimiser.name", variant.optimiser);
  if (variant.optimiser == "sgd") config.set("optimiser.momentum", fmt::format("{}", variant.momentum));
  config.set("optimiser.weight_decay", fmt::format("{}", variant.weight_decay));
  config.set("optimiser.learning_rate", variant.optimiser == "sgd" ? "0.1" : "0.01");
  return config;
}

/// A trainer on the first digits.
struct Training {
  Training(Backend& b, const Config& config)
      : backend(b), images(b, digit_images().train, 100), trainer(b, config, {.height = 8, .width = 8}, 10) {
    std::vector<std::uint32_t> numbers(images.count);
    std::iota(numbers.begin(), numbers.end(), 0U);
    samples = uploaded(backend, numbers);
  }

  /// Every pixel is shown; a step that has no factor in common with 64 puts them in another order.
  void begin_task(std::size_t number, std::uint32_t step) {
    std::vector<std::uint32_t> order(64);
    for (std::uint32_t i = 0; i < 64; ++i) order[i] = i * step % 64;
    pixel_order = uploaded(backend, order);
    trainer.begin_task(number, {.epochs = 1, .updates_per_epoch = updates});
  }
  void update(std::size_t first, std::size_t count) {
    auto loss = backend.allocate<double>(1);
    auto correct = backend.allocate<std::uint32_t>(1);
    images.train(trainer, samples.view().subview(first, count), pixel_order.view(), loss.view(),
                 correct.view());
  }
  /// The last two updates have fewer samples than the read-out has neurons, so that traces are projected
  /// there.
  void finish_task() {
    for (std::size_t i = 0; i < updates - 2; ++i) update(24 * i, 24);
    update(96, 2);
    update(98, 2);
  }

  /// What the source of a projection does for samples of the last task.
  std::vector<float> activity(std::size_t projection) {
    trainer.run_batch(images.in(pixel_order.view()), samples.view().subview(0, 24));
    return backend.download(
        trainer.engine().activity(trainer.network().projections()[projection].source).average_output.values);
  }
  std::vector<float> weights(std::size_t projection) {
    return downloaded(backend, trainer.network().projections()[projection].weights);
  }

  Backend& backend;
  ShownSet images;
  Trainer trainer;
  Array<std::uint32_t> samples, pixel_order;
};

double norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

/// x [rows × n], as the rows h [rank × n] hold it: x hᵀ h.
std::vector<double> part_in(const std::vector<float>& h, const std::vector<float>& x, std::size_t n) {
  std::vector<double> part(x.size(), 0.0);
  for (std::size_t row = 0; row < x.size() / n; ++row) {
    for (std::size_t i = 0; i < h.size() / n; ++i) {
      double response = 0;
      for (std::size_t j = 0; j < n; ++j) response += static_cast<double>(h[i * n + j]) * x[row * n + j];
      for (std::size_t j = 0; j < n; ++j) part[row * n + j] += response * h[i * n + j];
    }
  }
  return part;
}

/// ‖x ΔW‖ / (‖x‖ ‖ΔW‖) for x [rows × n] and weights [n × targets].
double leak(const std::vector<double>& x, const std::vector<float>& before, const std::vector<float>& after,
            std::size_t n) {
  const std::size_t targets = before.size() / n;
  std::vector<double> change(before.size()), currents(x.size() / n * targets, 0.0);
  for (std::size_t i = 0; i < change.size(); ++i) change[i] = static_cast<double>(after[i]) - before[i];
  for (std::size_t row = 0; row < x.size() / n; ++row) {
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < targets; ++j)
        currents[row * targets + j] += x[row * n + i] * change[i * targets + j];
    }
  }
  return norm(currents) / (norm(x) * norm(change));
}

/// The leak of a second task on the activity of the first in each projection; of a protected network, on
/// what its subspaces hold of that activity.
std::vector<double> leaks(Backend& backend, const Config& config) {
  Training training(backend, config);
  const std::size_t projections = training.trainer.network().projections().size();
  training.begin_task(0, 1);
  training.finish_task();
  std::vector<std::vector<double>> old_activity;
  std::vector<std::vector<float>> before;
  for (std::size_t p = 0; p < projections; ++p) {
    const std::vector<float> x = training.activity(p);
    old_activity.emplace_back(x.begin(), x.end());
    before.push_back(training.weights(p));
  }
  training.trainer.end_task();
  std::vector<double> result;
  for (std::size_t p = 0; p < projections; ++p) {
    if (const Subspace* subspace = training.trainer.protection().subspace(p); subspace != nullptr) {
      const std::vector<float> x(old_activity[p].begin(), old_activity[p].end());
      const std::vector<double> held =
          part_in(backend.download(subspace->rows().values), x, subspace->presynaptic_size());
      CHECK(norm(held) > 0.7 * norm(old_activity[p]));
      old_activity[p] = held;
    }
  }
  training.begin_task(1, 27);
  training.finish_task();
  for (std::size_t p = 0; p < projections; ++p) {
    result.push_back(leak(old_activity[p], before[p], training.weights(p),
                          training.trainer.network().projections()[p].sources()));
  }
  return result;
}

}  // namespace

TEST_CASE("whatever the optimiser and the rule, a protected network's steps leave old currents as they were",
          "[protected_steps]") {
  on_each_backend([](Backend& backend) {
    for (const Variant& variant : variants) {
      INFO(variant.optimiser << ", momentum " << variant.momentum << ", weight decay " << variant.weight_decay
                             << ", " << variant.rule << ", update " << variant.update << ", recurrent "
                             << variant.recurrent);
      const std::vector<double> kept = leaks(backend, config_of(variant, "hlop"));
      const std::vector<double> lost = leaks(backend, config_of(variant, "none"));
      for (std::size_t p = 0; p < kept.size(); ++p) {
        INFO("projection " << p);
        CHECK(kept[p] < 1e-5);
        CHECK(lost[p] > 0.05);
      }
    }
  });
}

TEST_CASE("a task begins with a fresh optimiser, its learning rate and where the schedule begins",
          "[protected_steps]") {
  const auto backend = make_backend("cpu", 1);
  Config config = config_of({"adam", 0, 0}, "none");
  config.set("optimiser.warm_up_epochs", "2");
  config.set("optimiser.learning_rate", "0.01,0.004");
  Training training(*backend, config);
  for (const std::size_t task : {0U, 1U, 2U}) {
    INFO("task " << task);
    training.begin_task(task, 1);
    const std::vector<float> before = training.weights(0);
    training.update(0, 24);
    const std::vector<float> after = training.weights(0);
    float largest = 0;
    for (std::size_t i = 0; i < before.size(); ++i)
      largest = std::max(largest, std::abs(after[i] - before[i]));
    // In the first update of all, Adam moves weights by the learning rate, here of the first of twelve
    // updates.
    CHECK(largest == Approx((task == 0 ? 0.01 : 0.004) / 12).epsilon(1e-3));
    training.finish_task();
    training.trainer.end_task();
  }
}

}  // namespace orthospike::testing
