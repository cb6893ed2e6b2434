#include "learning/feedback/adaptive_broadcast.hpp"

#include <cmath>

#include "learning/trainer.hpp"
#include "tests/conformance/backends.hpp"
#include "tests/learning/shown_set.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t batch = 16;

Config config_of(const std::string& rule) {
  Config config;
  config.training.batch_size = batch;
  config.network.hidden = {30, 20};
  config.set("neuron.model", rule == "dsr" ? "lif_dsr" : "lif");
  config.set("neuron.steps", "5");
  config.set("rule.name", rule);
  config.set("feedback.name", "adaptive_broadcast");
  config.set("protection.name", "none");
  config.set("tasks.count", "2");
  return config;
}

/// A trainer of digits, one task after the other.
struct Learner {
  Learner(Backend& b, const Config& config)
      : backend(b), images(b, digit_images().train, 0), trainer(b, config, {.height = 8, .width = 8}, 10) {}

  /// Some updates; task 1 turns the pixels' order around.
  void train(std::size_t task, std::size_t updates) {
    std::vector<std::uint32_t> order(64);
    for (std::uint32_t i = 0; i < 64; ++i) order[i] = task == 0 ? i : 63 - i;
    const auto pixel_order = uploaded(backend, order);
    auto loss = backend.allocate<double>(1);
    auto correct = backend.allocate<std::uint32_t>(1);
    trainer.begin_task(task, {.epochs = 1, .updates_per_epoch = updates});
    for (std::size_t update = 0; update < updates; ++update) {
      shown.clear();
      // The images lie class by class.
      for (std::size_t i = 0; i < batch; ++i)
        shown.push_back(static_cast<std::uint32_t>((update * batch + i) * 37 % images.count));
      const auto samples = uploaded(backend, shown);
      images.train(trainer, samples.view(), pixel_order.view(), loss.view(), correct.view());
    }
    trainer.end_task();
  }

  std::vector<float> forward(std::size_t p) {
    return downloaded(backend, trainer.network().projections()[p].weights);
  }
  std::vector<float> feedback(std::size_t p) {
    return backend.download(View<const float>(trainer.feedback().learned_weights(p).values));
  }

  Backend& backend;
  ShownSet images;
  Trainer trainer;
  std::vector<std::uint32_t> shown;  ///< samples of the last update
};

std::vector<double> change(const std::vector<float>& from, const std::vector<float>& to) {
  std::vector<double> result(to.begin(), to.end());
  for (std::size_t i = 0; i < result.size(); ++i) result[i] -= from[i];
  return result;
}

/// In degrees.
double angle(const std::vector<float>& a, const std::vector<float>& b) {
  double dot = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return std::acos(dot / std::sqrt(aa * bb)) * 180 / 3.14159265;
}

/// Σ over steps of the errors by the logits, [batch × classes], of what the engine ran last.
std::vector<double> summed_errors(Learner& learner, bool step_losses) {
  const ClockEngine& engine = learner.trainer.engine();
  const ConstMatrix read = step_losses ? engine.step_logits() : engine.logits();
  const std::vector<float> logits = learner.backend.download(read.values);
  std::vector<double> sums(batch * 10, 0.0);
  for (std::size_t row = 0; row < read.rows; ++row) {
    double sum = 0;
    for (std::size_t c = 0; c < 10; ++c) sum += std::exp(logits[row * 10 + c]);
    for (std::size_t c = 0; c < 10; ++c) {
      const double hit = digit_images().train.labels[learner.shown[row % batch]] == c ? 1 : 0;
      sums[row % batch * 10 + c] +=
          (std::exp(logits[row * 10 + c]) / sum - hit) / static_cast<double>(read.rows);
    }
  }
  return sums;
}

}  // namespace

TEST_CASE("feedback learns as the read-out does, that of deeper populations from their mean output",
          "[adaptive_broadcast]") {
  on_each_backend([](Backend& backend) {
    for (const std::string rule : {"dsr", "bptt", "ottt", "eprop"}) {
      INFO(rule);
      const Config config = config_of(rule);
      Learner learner(backend, config);
      CHECK(learner.trainer.feedback().learned_weights(0).empty());
      const auto w = learner.forward(2), last = learner.feedback(2), deeper = learner.feedback(1);
      CHECK(w != last);
      learner.train(0, 1);
      const std::vector<double> of_w = change(w, learner.forward(2));
      CHECK(std::ranges::any_of(of_w, [](double x) { return std::abs(x) > 1e-3; }));
      CHECK(difference(of_w, change(last, learner.feedback(2))) < 1e-4);

      const std::vector<float> z =
          backend.download(learner.trainer.engine().activity(1).average_output.values);
      const std::vector<double> e = summed_errors(learner, rule == "ottt" || rule == "eprop");
      std::vector<double> expected(30 * 10, 0.0);
      for (std::size_t b = 0; b < batch; ++b) {
        for (std::size_t i = 0; i < 30; ++i) {
          for (std::size_t c = 0; c < 10; ++c)
            expected[i * 10 + c] -= config.schedule.learning_rates[0] * z[b * 30 + i] * e[b * 10 + c];
        }
      }
      CHECK(difference(expected, change(deeper, learner.feedback(1))) < 1e-4);
    }
  });
}

TEST_CASE("feedback follows the read-out under any optimiser and protection", "[adaptive_broadcast]") {
  on_each_backend([](Backend& backend) {
    for (const std::string optimiser : {"sgd", "momentum", "adam", "step"}) {
      INFO(optimiser);
      Config config = config_of("ottt");
      config.set("protection.name", "hlop");
      config.set("hlop.ranks", "8,12,12");
      config.set("hebbian.learning_rate", "0.01");
      if (optimiser == "adam") {
        config.set("optimiser.name", "adam");
        config.schedule.learning_rates = {0.01F};
      }
      if (optimiser == "momentum") config.set("optimiser.momentum", "0.9");
      if (optimiser == "step") config.set("rule.update", "step");
      Learner learner(backend, config);
      const auto w = learner.forward(2), b = learner.feedback(2);
      for (const std::size_t task : {0U, 1U}) learner.train(task, 3);
      CHECK(difference(change(w, learner.forward(2)), change(b, learner.feedback(2))) < 1e-4);
    }
  });
}

TEST_CASE("with weight decay the feedback aligns with the read-out", "[adaptive_broadcast]") {
  const auto backend = make_backend("cpu", 1);
  Config config = config_of("eprop");
  config.set("optimiser.weight_decay", "0.02");
  Learner learner(*backend, config);
  double before = angle(learner.forward(2), learner.feedback(2));
  CHECK(before > 80);
  for (int pass = 0; pass < 3; ++pass) {
    learner.train(0, 300);
    const double now = angle(learner.forward(2), learner.feedback(2));
    CHECK(now < 0.75 * before);
    before = now;
  }
}

TEST_CASE("rules without errors of neurons refuse adaptive feedback", "[adaptive_broadcast]") {
  for (const std::string rule : {"decolle", "stdp"}) {
    INFO(rule);
    CHECK_THROWS_WITH(config_of(rule),
                      Catch::Matchers::StartsWith("set: feedback.name: it is read only with"));
  }
}

}  // namespace orthospike::testing
