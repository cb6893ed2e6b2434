#include "learning/monitor.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "tests/conformance/backends.hpp"
#include "tests/learning/shown_set.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t samples = 60, count = 3;
constexpr std::size_t inputs = 64;

Config config_of(const std::string& protection) {
  Config config;
  config.training.batch_size = 32;
  config.network.hidden = {30, 20};
  config.set("hlop.ranks", "6");
  config.set("hebbian.learning_rate", "0.01");
  config.set("protection.name", protection);
  if (protection == "gpm") config.set("gpm.threshold", "0.9");
  return config;
}

/// Digits in `count` orders of pixels, one after the other.
struct Tasks {
  Tasks(Backend& backend, const std::string& protection, std::size_t monitored_samples = samples)
      : images(backend, digit_images().train, 128),
        trainer(backend, config_of(protection), {.height = 8, .width = 8}, 10),
        monitor(trainer, monitored_samples, count),
        loss(backend.allocate<double>(1)),
        correct(backend.allocate<std::uint32_t>(1)) {
    std::vector<std::uint32_t> numbers(128);
    std::iota(numbers.begin(), numbers.end(), 0U);
    all = uploaded(backend, numbers);
    numbers.resize(inputs);
    for (std::size_t task = 0; task < count; ++task) {
      orders.push_back(uploaded(backend, numbers));
      std::rotate(numbers.begin(), numbers.begin() + 23, numbers.end());
    }
  }

  std::vector<ProjectionReport> learn(std::size_t task) {
    trainer.begin_task(task, {.epochs = 1, .updates_per_epoch = 4});
    monitor.begin_task();
    for (std::size_t first = 0; first < 128; first += 32) {
      images.train(trainer, all.view().subview(first, 32), orders[task].view(), loss.view(), correct.view());
    }
    trainer.end_task();
    return monitor.end_task(images.in(orders[task].view()), all.view());
  }

  /// Presynaptic activity of a projection in the task's first samples.
  std::vector<float> activity(std::size_t projection, std::size_t task) {
    std::vector<float> result;
    for (std::size_t first = 0; first < samples; first += 30) {
      trainer.run_batch(images.in(orders[task].view()), all.view().subview(first, 30));
      const std::size_t source = trainer.network().projections()[projection].source;
      const std::vector<float> x =
          trainer.network().backend().download(trainer.engine().activity(source).average_output.values);
      result.insert(result.end(), x.begin(), x.end());
    }
    return result;
  }

  ShownSet images;
  Trainer trainer;
  Monitor monitor;
  Array<double> loss;
  Array<std::uint32_t> correct;
  Array<std::uint32_t> all;
  std::vector<Array<std::uint32_t>> orders;
};

double squares(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return sum;
}

/// ‖x w‖² of rows x [N × n] and w [n × targets].
double squares_through(const std::vector<float>& x, const std::vector<float>& w, std::size_t n) {
  const std::size_t targets = w.size() / n;
  double sum = 0;
  for (std::size_t row = 0; row < x.size() / n; ++row) {
    for (std::size_t j = 0; j < targets; ++j) {
      double current = 0;
      for (std::size_t i = 0; i < n; ++i) current += static_cast<double>(x[row * n + i]) * w[i * targets + j];
      sum += current * current;
    }
  }
  return sum;
}

}  // namespace

TEST_CASE("leak and explained energy are those of the samples of all tasks so far", "[monitor]") {
  on_each_backend([](Backend& backend) {
    for (const std::string protection : {"none", "hlop", "leaky", "owm", "gpm"}) {
      Tasks tasks(backend, protection);
      const auto& projections = tasks.trainer.network().projections();
      std::vector<std::vector<float>> seen(projections.size());
      for (std::size_t task = 0; task < count; ++task) {
        std::vector<std::vector<float>> change;
        for (const Projection& projection : projections)
          change.push_back(downloaded(backend, projection.weights));
        const auto reports = tasks.learn(task);
        for (std::size_t p = 0; p < projections.size(); ++p) {
          INFO(protection << ", task " << task << ", projection " << p);
          const std::size_t n = projections[p].sources();
          const std::vector<float> weights = downloaded(backend, projections[p].weights);
          for (std::size_t i = 0; i < weights.size(); ++i) change[p][i] = weights[i] - change[p][i];
          std::vector<float>& x = seen[p];
          if (task == 0) {
            CHECK(std::isnan(reports[p].leak));
          } else {
            const double leak =
                std::sqrt(squares_through(x, change[p], n) / (squares(change[p]) * squares(x)));
            CHECK(reports[p].leak == Approx(leak).epsilon(1e-4));
          }
          const std::vector<float> now = tasks.activity(p, task);
          x.insert(x.end(), now.begin(), now.end());

          PresynapticOperator* const protect = tasks.trainer.protection().presynaptic_operator(p);
          if (protection == "none") {
            CHECK(std::isnan(reports[p].explained_energy));
          } else if (protection == "leaky" || protection == "owm") {
            double left = 0;
            for (std::size_t first = 0; first < x.size() / n; first += 30) {
              const std::vector<float> rows(x.begin() + static_cast<std::ptrdiff_t>(first * n),
                                            x.begin() + static_cast<std::ptrdiff_t>((first + 30) * n));
              const auto stored = uploaded(backend, rows);
              const std::vector<float> damped =
                  backend.download(protect->apply_to_traces(stored.matrix(30, n)).values);
              for (std::size_t i = 0; i < rows.size(); ++i) left += static_cast<double>(rows[i]) * damped[i];
            }
            CHECK(reports[p].explained_energy == Approx(1 - left / squares(x)).epsilon(1e-4));
          } else {
            CHECK(reports[p].explained_energy > 0.3);
          }
        }
      }
    }
  });
}

TEST_CASE("measuring a task costs the same whatever the number of tasks before", "[monitor]") {
  const auto backend = make_backend("cpu", 1);
  for (const std::string protection : {"none", "hlop", "leaky", "leaky_lowrank", "owm", "gpm"}) {
    INFO(protection);
    Tasks tasks(*backend, protection), unmeasured(*backend, protection, 0);
    std::vector<double> costs;
    for (std::size_t task = 0; task < count; ++task) {
      const double before = backend->multiply_adds();
      tasks.learn(task);
      const double between = backend->multiply_adds();
      for (const ProjectionReport& report : unmeasured.learn(task)) CHECK(std::isnan(report.leak));
      costs.push_back(between - before - (backend->multiply_adds() - between));
    }
    CHECK(costs[0] > 0);
    if (protection == "none") {
      // In the last task nothing is sampled for later ones.
      CHECK(costs[2] < costs[1]);
    } else if (protection != "gpm" && protection != "leaky_lowrank") {  // whose rows grow in number
      CHECK(costs[2] == costs[1]);
    }
  }
}

}  // namespace orthospike::testing
