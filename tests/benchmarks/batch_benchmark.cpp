// Times the main job batch by batch: training averaged over all tasks of a config, and testing.
//
//   build/tests/batch_benchmark configs/pmnist-dsr-hlop.ini [--section.key=value ...]
//
// Trains tasks.train_samples of each task (default here: 100 batches), prints the median batch of each task and the
// mean one (beside other programs a few batches take most of the time), the means of both over the tasks, and how far that is from the arithmetic floor: the counted dense multiply-adds
// and the weights that spikes added, at the rate of a large matrix product measured between the tasks of the
// same run. What rules and subspaces do along events (correlations and responses of spikes) is not counted and
// so not in the floor: rules other than dsr are farther from it.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>

#include "datasets/permuted_tasks.hpp"
#include "kernels/dense.hpp"
#include "kernels/random_numbers.hpp"
#include "learning/trainer.hpp"

namespace {

using namespace orthospike;

double seconds_of(Backend& backend, const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  backend.synchronise();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
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
  const Config config = read_config(argv[1], {argv + 2, argv + argc});
  const ImageData data = read_image_data(find_data_set(config.data.name, config.data.path));
  const std::size_t batch_size = config.training.batch_size;
  const auto backend = make_backend(config.run.device, config.run.threads);
  const StoredImages train(*backend, data.train,
                           config.tasks.train_samples == 0 ? 100 * batch_size : config.tasks.train_samples);
  const StoredImages test(*backend, data.test, 20 * batch_size);
  const std::size_t pixels = data.train.pixels_per_image();
  Trainer trainer(*backend, config, pixels, data.train.classes);
  Array<std::uint32_t> order = backend->allocate<std::uint32_t>(pixels);
  Array<std::uint32_t> samples = backend->allocate<std::uint32_t>(train.count);
  Array<double> loss = backend->allocate<double>(1);
  Array<std::uint32_t> correct = backend->allocate<std::uint32_t>(1);
  const std::vector<PermutedTask> tasks = permuted_tasks(config.tasks.count, pixels, config.experiment.seed);

  fmt::print("{}, {} threads\n{:>4} {:>12} {:>12} {:>12} {:>12} {:>8} {:>12}\n", backend->device(),
             backend->threads(), "task", "train ms", "mean ms", "test ms", "floor ms", "ratio", "GFLOP/s");
  std::vector<double> train_ms, train_mean_ms, test_ms, floor_ms;
  for (std::size_t k = 0; k < tasks.size(); ++k) {
    const double rate = product_rate(*backend);
    backend->upload(std::span<const std::uint32_t>(tasks[k].pixel_order), order.view());
    const std::vector<std::uint32_t> shuffled = shuffled_order(
        train.count, {config.experiment.seed, RandomPurpose::sample_order, static_cast<std::uint32_t>(k)});
    backend->upload(std::span<const std::uint32_t>(shuffled), samples.view());

    trainer.begin_task(k, {.epochs = 1, .updates_per_epoch = train.count / batch_size});
    const double multiply_adds = backend->multiply_adds();
    const double additions = trainer.engine().work().synaptic_operations;
    std::vector<double> seconds;
    for (std::size_t first = 0; first + batch_size <= train.count; first += batch_size) {
      seconds.push_back(seconds_of(*backend, [&] {
        trainer.train_batch(train, samples.view().subview(first, batch_size), order.view(), loss.view(),
                            correct.view());
      }));
    }
    const double work =
        backend->multiply_adds() - multiply_adds + trainer.engine().work().synaptic_operations - additions;
    trainer.end_task();

    std::vector<double> evaluations;
    for (int i = 0; i < 5; ++i) {
      evaluations.push_back(seconds_of(*backend, [&] { trainer.evaluate(test, order.view()); }));
    }
    const auto test_batches = static_cast<double>((test.count + batch_size - 1) / batch_size);
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
