#include "learning/recording.hpp"

#include <set>
#include <tuple>

#include "kernels/error.hpp"
#include "learning/experiment.hpp"
#include "learning/tester.hpp"
#include "tests/learning/shown_set.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {
namespace {

struct Quiet final : ExperimentObserver {
  void begins(const std::vector<TaskDescription>&) override {}
  void warn(const std::string&) override {}
  void training(const TrainingReport&) override {}
  void evaluated(const AccuracyMatrix&, std::size_t) override {}
};

const std::vector<ImageData>& all_data() {
  static const std::vector<ImageData> data = {digit_images()};
  return data;
}

Config digits() {
  Config config;
  config.set("protection.name", "none");
  config.set("tasks.count", "2");
  config.set("tasks.epochs", "2");
  config.set("tasks.train_samples", "200");
  config.set("tasks.test_samples", "150");
  config.set("record.variables", "spikes");
  config.data.mean = config.data.deviation = std::nullopt;
  config.network.hidden = {30};
  config.metrics.quality_samples = 50;
  config.run.device = "cpu";
  config.run.threads = 1;
  return config;
}

void run(const Config& config, const TemporaryFolder& folder) {
  Quiet observer;
  run_experiment(config, all_data(), folder.path(), observer);
}

/// What a recording says was shown.
struct Shown {
  explicit Shown(const std::filesystem::path& folder) : file(Hdf5File::open(folder / "spikes.h5")) {
    const auto column = [&](const std::string& name) {
      return file.read<std::uint32_t>("/orthospike/presentations/" + name);
    };
    task = column("task"), sample = column("sample"), label = column("label"), after = column("after");
    epoch = column("epoch"), phase = file.read<std::uint8_t>("/orthospike/presentations/phase");
  }
  std::size_t count() const { return task.size(); }
  /// Numbers of images that these presentations show, in their order.
  std::vector<std::uint32_t> samples(std::uint32_t of_task, std::uint32_t when, std::uint8_t in_phase,
                                     std::uint32_t in_epoch) const {
    std::vector<std::uint32_t> found;
    for (std::size_t i = 0; i < count(); ++i) {
      if (std::tuple(task[i], after[i], phase[i], epoch[i]) == std::tuple(of_task, when, in_phase, in_epoch))
        found.push_back(sample[i]);
    }
    return found;
  }

  Hdf5File file;
  std::vector<std::uint32_t> task, sample, label, after, epoch;
  std::vector<std::uint8_t> phase;
};

std::size_t distinct(std::vector<std::uint32_t> numbers) {
  return std::set(numbers.begin(), numbers.end()).size();
}

}  // namespace

TEST_CASE("a run records the tests that its config chooses", "[recording]") {
  Config config = digits();
  config.set("record.samples", "5-14");
  config.set("record.after", "1-2");
  const TemporaryFolder folder;
  run(config, folder);
  const Shown shown(folder.path());
  CHECK(shown.count() == 2 * 2 * 10);
  const std::unique_ptr<TaskSequence> sequence = config.make_tasks(all_data());
  for (const std::uint32_t task : {1U, 2U}) {
    const Task its = sequence->task(task - 1);
    const std::vector<std::uint32_t> expected(its.test.begin() + 5, its.test.begin() + 15);
    for (const std::uint32_t after : {1U, 2U}) CHECK(shown.samples(task, after, 0, 0) == expected);
  }
  for (std::size_t i = 0; i < shown.count(); ++i)
    CHECK(shown.label[i] == digit_images().test.labels[shown.sample[i]]);
  CHECK(shown.file.read<std::uint64_t>("/spikes/hidden1/node_ids").size() > 100);
}

TEST_CASE("a run records the same samples in each epoch of training, whenever they are shown",
          "[recording]") {
  Config config = digits();
  config.set("record.phase", "both");
  config.set("record.tasks", "2");
  config.set("record.samples", "random 12");
  const TemporaryFolder folder;
  run(config, folder);
  const Shown shown(folder.path());
  const auto first = shown.samples(2, 1, 1, 1), second = shown.samples(2, 1, 1, 2);
  CHECK(first.size() == 12);
  CHECK(std::set(first.begin(), first.end()) == std::set(second.begin(), second.end()));
  CHECK(first != second);  // the order is another one
  CHECK(distinct(shown.samples(2, 0, 0, 0)) == 12);
  CHECK(shown.count() == 2 * 12 + 3 * 12);
  for (std::size_t i = 0; i < shown.count(); ++i) {
    const ImageSet& set = shown.phase[i] == 1 ? digit_images().train : digit_images().test;
    CHECK(shown.label[i] == set.labels[shown.sample[i]]);
  }
}

TEST_CASE("recording changes no number of a run, and is the same from its weights", "[recording]") {
  Config config = digits();
  config.set("record.variables", "spikes, potential, current");
  config.set("record.phase", "both");
  config.set("record.samples", "all");
  config.set("record.neurons", "random 9");
  Config silent = config;
  silent.set("record.variables", "none");
  const TemporaryFolder folder, unrecorded, again;
  run(config, folder);
  run(silent, unrecorded);
  const Hdf5File one = Hdf5File::open(folder.path() / "run.h5"),
                 other = Hdf5File::open(unrecorded.path() / "run.h5");
  CHECK(one.read<double>("/metrics/accuracy") == other.read<double>("/metrics/accuracy"));
  CHECK(read_weights(folder.path() / "weights.h5").projections ==
        read_weights(unrecorded.path() / "weights.h5").projections);
  CHECK(recordings_in(unrecorded.path()).empty());

  const TrainedNetwork trained = read_weights(folder.path() / "weights.h5");
  Tester tester(trained, config, all_data(), {});
  tester.record(again.path());
  for (std::size_t k = 0; k < 2; ++k) {
    CHECK(tester.recorded(k) == 150);
    tester.test(k);
  }
  tester.finish_recording();
  // Of the run, the last tests are the same.
  for (const std::string variable : {"potential", "current"}) {
    const auto of = [&](const TemporaryFolder& where) {
      return Hdf5File::open(where.path() / ("report-" + variable + ".h5"))
          .read<float>("/report/hidden1/data");
    };
    const std::vector<float> all = of(folder), last = of(again);
    REQUIRE(last.size() == 2 * 150 * 9 * config.clock.steps);
    CHECK(std::ranges::equal(std::span(all).last(last.size()), last));
  }
  const auto neurons = [&](const TemporaryFolder& where) {
    return Hdf5File::open(where.path() / "spikes.h5").read<std::uint64_t>("/spikes/hidden1/node_ids");
  };
  const auto all = neurons(folder), last = neurons(again);
  CHECK(last.size() > 1000);
  CHECK(std::ranges::equal(std::span(all).last(last.size()), last));
  CHECK(Shown(folder.path()).count() == 3 * 2 * 150 + 2 * 2 * 200);
}

TEST_CASE("clients and joint training are recorded, too", "[recording]") {
  for (const bool joint : {false, true}) {
    Config config = digits();
    config.set("record.phase", "training");
    config.set("record.samples", "random 20");
    if (joint) {
      config.set("protection.name", "joint");
    } else {
      config.set("federated.clients", "3");
    }
    const TemporaryFolder folder;
    run(config, folder);
    const Shown shown(folder.path());
    for (const std::uint32_t task : {1U, 2U}) {
      for (const std::uint32_t epoch : {1U, 2U})
        CHECK(distinct(shown.samples(task, joint ? 0 : task - 1, 1, epoch)) == 20);
    }
    CHECK(shown.count() == 2 * 2 * 20);
  }
}

TEST_CASE("a recording for which the disk has no room is refused with its size", "[recording]") {
  Config config = digits();
  config.set("record.variables", "potential");
  config.set("record.samples", "all");
  const TemporaryFolder folder;
  const std::unique_ptr<TaskSequence> sequence = config.make_tasks(all_data());
  const auto backend = make_backend("cpu", 1);
  StoredTasks tasks(*backend, *sequence);
  config.data.mean = config.data.deviation = 0.5F;
  Trainer trainer(*backend, config, sequence->shape(), sequence->logits());
  const RunRecording recording(config, tasks, trainer.engine(), *backend, folder.path(), {});
  recording.require_room(10);
  std::string sentence;
  try {
    recording.require_room(std::size_t{1} << 45);
  } catch (const EnvironmentError& error) {
    sentence = error.what();
  }
  // 2^45 presentations of 20 steps of 30 neurons of 4 bytes
  CHECK(sentence.starts_with(
      "record.variables: 35184372088832 presentations would take about 8.44e+07 GB, and " +
      folder.path().string()));
}

}  // namespace orthospike::testing
