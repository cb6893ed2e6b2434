// What a checkpoint costs: seconds of its parts, bytes, and its share of a run at the default interval.
//
//   build/tests/checkpoint_benchmark configs/pmnist-dsr-hlop.ini [--section.key=value ...]
//
// Trains 20 batches of each of two tasks, so that all parts have what they keep, and then writes checkpoints as at the
// end of a task into a folder of $TMPDIR, which should lie on the disk of the runs. "gather" is the copy out of the back
// end, "write" that into the file as far as the system's memory, "fsync" the way to the disk, "seal" the checksum of
// the file, "read" the look at it and at each member's, as when a run goes on; "whole" is all of write_checkpoint, which
// reads the members, too. Medians of nine.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <utility>

#include "datasets/sample_order.hpp"
#include "learning/checkpoint.hpp"
#include "learning/config.hpp"
#include "learning/logit_change.hpp"
#include "learning/monitor.hpp"
#include "learning/stored_tasks.hpp"
#include "learning/trainer.hpp"
#include "sim/seal.hpp"
#include "tests/benchmarks/timing.hpp"
#include "tests/temporary_folder.hpp"

namespace {

using namespace orthospike;
using testing::median;
using testing::seconds_of;

/// Takes what is saved nowhere.
class Gatherer final : public Archive {
 public:
  explicit Gatherer(Backend& backend) : Archive(backend, false, true, {}) {}
  std::size_t bytes = 0;

 private:
  void save(const std::string& /*object*/, const Hdf5Values& values) override {
    std::visit([&]<class T>(const std::vector<T>& elements) { bytes += elements.size() * sizeof(T); },
               values);
  }
  Hdf5Values load(const std::string& /*object*/) override { return {}; }
  std::string source() const override { return ""; }
};

/// Seconds of each of the first batches of a task.
std::vector<double> train(const Config& config, StoredTasks& tasks, std::size_t k, std::size_t batches,
                          Trainer& trainer) {
  Backend& backend = trainer.network().backend();
  const std::size_t batch_size = trainer.batch_size();
  const std::vector<std::uint32_t>& all = tasks.task(k).train;
  const std::vector<Target> answers = tasks.training_targets(k);
  Array<double> loss = backend.allocate<double>(1);
  Array<std::uint32_t> correct = backend.allocate<std::uint32_t>(1);
  const std::vector<std::uint32_t> order = shuffled_order(
      all.size(), {config.experiment.seed, RandomPurpose::sample_order, static_cast<std::uint32_t>(k)});
  std::vector<std::uint32_t> shown;
  std::vector<Target> sought;
  for (const std::uint32_t place : order) {
    shown.push_back(all[place]);
    sought.push_back(answers[place]);
  }
  Array<std::uint32_t> samples = backend.allocate<std::uint32_t>(shown.size());
  backend.upload(std::span<const std::uint32_t>(shown), samples.view());
  Array<Target> targets = backend.allocate<Target>(sought.size());
  backend.upload(std::span<const Target>(sought), targets.view());
  const Share share{batch_size, tasks.training_images(k)};
  std::vector<double> seconds;
  for (std::size_t batch = 0; batch < batches; ++batch) {
    seconds.push_back(seconds_of([&] {
      trainer.train_batch({.samples = samples.view().subview(batch * batch_size, batch_size),
                           .targets = targets.view().subview(batch * batch_size, batch_size),
                           .shares = std::span(&share, 1)},
                          loss.view(), correct.view());
      backend.synchronise();
    }));
  }
  return seconds;
}

int benchmark(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: checkpoint_benchmark CONFIG [--section.key=value ...]\n");
    return 2;
  }
  const Config config = read_config(argv[1], {argv + 2, argv + argc});
  const std::vector<ImageData> data = read_data_sets(config.data);
  const auto backend = make_backend(config.run.device, static_cast<int>(config.run.threads));
  const std::unique_ptr<TaskSequence> sequence = config.make_tasks(data);
  StoredTasks tasks(*backend, *sequence);
  Trainer trainer(*backend, config, sequence->shape(), sequence->logits());
  Monitor monitor(trainer, config.metrics.quality_samples, tasks.count());
  LogitChange logit_change(trainer, config.metrics.quality_samples);

  constexpr std::size_t trained_batches = 20;
  std::vector<double> batch_seconds;
  for (std::size_t k = 0; k < 2; ++k) {
    const std::vector<std::uint32_t>& samples = tasks.task(k).train;
    trainer.begin_task(k, {.epochs = 1, .updates_per_epoch = samples.size() / trainer.batch_size()});
    monitor.begin_task();
    batch_seconds = train(config, tasks, k, trained_batches, trainer);
    trainer.end_task();
    const auto measured = std::span(samples).first(std::min(config.metrics.quality_samples, samples.size()));
    Array<std::uint32_t> places = backend->allocate<std::uint32_t>(measured.size());
    backend->upload(measured, places.view());
    monitor.end_task(tasks.training_images(k), places.view());
  }
  const double task_seconds = median(batch_seconds) * static_cast<double>(tasks.task(1).train.size()) /
                              static_cast<double>(trainer.batch_size()) *
                              static_cast<double>(of_task(config.tasks.epochs, 1));

  const auto state = [&](Archive& archive) {
    archive("trainer", trainer);
    archive("monitor", monitor);
    archive("logit_change", logit_change);
  };
  const TemporaryFolder folder;
  std::vector<double> gather, write, sync, sealing, read, whole;
  std::size_t bytes = 0;
  for (int round = 0; round < 9; ++round) {
    Gatherer gatherer(*backend);
    gather.push_back(seconds_of([&] { state(gatherer); }));
    bytes = gatherer.bytes;
    const std::filesystem::path path = folder.path() / "parts.h5";
    Hdf5File file = Hdf5File::create(path);
    StateWriter writer(*backend, file);
    write.push_back(seconds_of([&] {
                      state(writer);
                      file.flush();
                    }) -
                    gather.back());
    sync.push_back(seconds_of([&] { file.close(); }));
    sealing.push_back(seconds_of([&] { seal(path); }));
    read.push_back(seconds_of([&] {
      require_seal(path);
      const Hdf5File written = Hdf5File::open(path);
      for (const std::string& object : written.numeric_objects("/"))
        static_cast<void>(written.read_values(object));
    }));
    std::filesystem::remove(path);
    whole.push_back(seconds_of([&] {
      write_checkpoint(folder.path(),
                       {.config = config_text(config), .version = {}, .git_revision = {}, .device = {}},
                       *backend, alone(), state);
    }));
  }
  std::size_t weights = 0;
  for (const Projection& projection : trainer.network().projections()) weights += projection.weights.size();
  const double interval = 60.0 * static_cast<double>(config.checkpoint.minutes);
  const double a_task = 1 + (interval > 0 ? std::floor(task_seconds / interval) : 0);
  fmt::print("{}, {} threads, {} weights\n", backend->device(), backend->threads(), weights);
  fmt::print("{:.1f} MB", 1e-6 * static_cast<double>(bytes));
  for (const auto& [part, seconds] : {std::pair{"gather", gather},
                                      {"write", write},
                                      {"fsync", sync},
                                      {"seal", sealing},
                                      {"read", read},
                                      {"whole", whole}})
    fmt::print(", {} {:.1f}", part, 1e3 * median(seconds));
  fmt::print(" ms\n");
  fmt::print("training of a task: {:.1f} s; of that, {:.0f} checkpoint(s) a task: {:.2f} %\n", task_seconds,
             a_task, 100 * a_task * median(whole) / task_seconds);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return benchmark(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "checkpoint_benchmark: {}\n", error.what());
    return 1;
  }
}
