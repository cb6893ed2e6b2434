// Times the main job batch by batch: training averaged over all tasks of a config, and testing.
//
//   build/tests/batch_benchmark configs/pmnist-dsr-hlop.ini [--section.key=value ...]
//
// Trains tasks.train_samples of each task and tests tasks.test_samples (defaults here: 100 and 20 batches), prints the
// median batch of each task and the mean one (beside other programs a few batches take most of the time), the means of
// both over the tasks, and how far that is from the arithmetic floor: the counted dense multiply-adds and the weights
// that spikes added, at the rate of a large matrix product measured between the tasks of the same run. What rules and
// subspaces do along events (correlations and responses of spikes) is not counted and so not in the floor: rules other
// than dsr are farther from it.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>

#include "datasets/sample_order.hpp"
#include "kernels/dense.hpp"
#include "kernels/random_numbers.hpp"
#include "learning/config.hpp"
#include "learning/stored_tasks.hpp"
#include "learning/trainer.hpp"
#include "tests/benchmarks/timing.hpp"

namespace {

using namespace orthospike;
using testing::median;

double seconds_of(Backend& backend, const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  backend.synchronise();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Multiply-adds a second of a product of two large matrices, best of a few.
double product_rate(Backend& backend) {
  constexpr std::size_t size = 1024;
  Array<float> a = backend.allocate<float>(size * size);
  Array<float> b = backend.allocate<float>(size * size);
  Array<float> c = backend.allocate<float>(size * size);
  backend.random_numbers().run(FillUniform{.values = a.view(), .low = -1, .high = 1, .key = {}});
  backend.random_numbers().run(FillUniform{.values = b.view(), .low = -1, .high = 1, .key = {}});
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const double seconds = seconds_of(backend, [&] {
      backend.dense().run(
          Multiply{.a = a.matrix(size, size), .b = b.matrix(size, size), .c = c.matrix(size, size)});
    });
    best = std::max(best, static_cast<double>(size) * size * size / seconds);
  }
  return best;
}

int benchmark(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: batch_benchmark CONFIG [--section.key=value ...]\n");
    return 2;
  }
  Config config = read_config(argv[1], {argv + 2, argv + argc});
  const std::vector<ImageData> data = read_data_sets(config.data);
  const std::size_t batch_size = config.training.batch_size;
  const auto backend = make_backend(config.run.device, static_cast<int>(config.run.threads));
  const auto unless_given = [](std::vector<std::size_t>& samples, std::size_t count) {
    if (samples == std::vector<std::size_t>{0}) samples = {count};
  };
  unless_given(config.tasks.train_samples, 100 * batch_size);
  unless_given(config.tasks.test_samples, 20 * batch_size);
  const std::unique_ptr<TaskSequence> sequence = config.make_tasks(data);
  const PixelMoments moments = sequence->training_moments();
  config.data.mean = config.data.mean.value_or(moments.mean);
  config.data.deviation = config.data.deviation.value_or(moments.deviation);
  StoredTasks tasks(*backend, *sequence);
  Trainer trainer(*backend, config, sequence->shape(), sequence->logits());
  Array<double> loss = backend->allocate<double>(1);
  Array<std::uint32_t> correct = backend->allocate<std::uint32_t>(1);

  fmt::print("{}, {} threads\n{:>4} {:>12} {:>12} {:>12} {:>12} {:>8} {:>12}\n", backend->device(),
             backend->threads(), "task", "train ms", "mean ms", "test ms", "floor ms", "ratio", "GFLOP/s");
  std::vector<double> train_ms, train_mean_ms, test_ms, floor_ms;
  for (std::size_t k = 0; k < tasks.count(); ++k) {
    const double rate = product_rate(*backend);
    const std::vector<std::uint32_t>& train = tasks.task(k).train;
    const std::vector<Target> answers = tasks.training_targets(k);
    std::vector<std::uint32_t> shown;
    std::vector<Target> sought;
    for (const std::uint32_t place : shuffled_order(
             train.size(),
             {config.experiment.seed, RandomPurpose::sample_order, static_cast<std::uint32_t>(k)})) {
      shown.push_back(train[place]);
      sought.push_back(answers[place]);
    }
    Array<std::uint32_t> samples = backend->allocate<std::uint32_t>(shown.size());
    backend->upload(std::span<const std::uint32_t>(shown), samples.view());
    Array<Target> targets = backend->allocate<Target>(sought.size());
    backend->upload(std::span<const Target>(sought), targets.view());
    const Share share{batch_size, tasks.training_images(k)};

    trainer.begin_task(k, {.epochs = 1, .updates_per_epoch = train.size() / batch_size});
    const double multiply_adds = backend->multiply_adds();
    const double additions = trainer.engine().work().synaptic_operations;
    std::vector<double> seconds;
    for (std::size_t first = 0; first + batch_size <= train.size(); first += batch_size) {
      seconds.push_back(seconds_of(*backend, [&] {
        trainer.train_batch({.samples = samples.view().subview(first, batch_size),
                             .targets = targets.view().subview(first, batch_size),
                             .shares = std::span(&share, 1)},
                            loss.view(), correct.view());
      }));
    }
    const double work =
        backend->multiply_adds() - multiply_adds + trainer.engine().work().synaptic_operations - additions;
    trainer.end_task();

    const auto& [images, tested, tested_answers] = tasks.test_samples(k);
    std::vector<double> evaluations;
    for (int i = 0; i < 5; ++i) {
      evaluations.push_back(seconds_of(*backend, [&] { trainer.evaluate(images, tested, tested_answers); }));
    }
    const auto test_batches = static_cast<double>((tested.size() + batch_size - 1) / batch_size);
    train_ms.push_back(1e3 * median(seconds));
    train_mean_ms.push_back(1e3 * mean(seconds));
    test_ms.push_back(1e3 * median(evaluations) / test_batches);
    floor_ms.push_back(1e3 * work / static_cast<double>(seconds.size()) / rate);
    fmt::print("{:>4} {:>12.3f} {:>12.3f} {:>12.3f} {:>12.3f} {:>8.2f} {:>12.1f}\n", k + 1, train_ms.back(),
               train_mean_ms.back(), test_ms.back(), floor_ms.back(), train_ms.back() / floor_ms.back(),
               2e-9 * rate);
    std::fflush(stdout);
  }
  fmt::print("mean {:>12.3f} {:>12.3f} {:>12.3f} {:>12.3f} {:>8.2f}\n", mean(train_ms), mean(train_mean_ms),
             mean(test_ms), mean(floor_ms), mean(train_ms) / mean(floor_ms));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return benchmark(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "batch_benchmark: {}\n", error.what());
    return 1;
  }
}
