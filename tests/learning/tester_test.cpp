#include "learning/tester.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>

#include "kernels/error.hpp"
#include "learning/experiment.hpp"
#include "learning/predictions_file.hpp"
#include "tests/learning/shown_set.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {
namespace {

/// Stops the run, as a signal would, in a task; 0: in none.
struct Stopper final : ExperimentObserver {
  explicit Stopper(std::size_t in_task) : stops_in(in_task) {}

  void begins(const std::vector<TaskDescription>&) override {}
  void warn(const std::string&) override {}
  void training(const TrainingReport& report) override {
    if (report.task == stops_in) throw std::runtime_error("stopped");
  }
  void evaluated(const AccuracyMatrix&, std::size_t) override {}

  std::size_t stops_in;
};

Config digits(const std::string& sequence, const std::string& head = "") {
  Config config;
  config.set("tasks.sequence", sequence);
  if (!head.empty()) config.set(sequence + ".head", head);
  config.data.mean = config.data.deviation = std::nullopt;
  config.network.hidden = {30};
  config.set("protection.name", "none");
  config.metrics.quality_samples = 0;
  config.run.device = "cpu";
  config.run.threads = 1;
  if (sequence == "permuted") config.set("tasks.count", "3");
  return config;
}

std::vector<ImageData> data_of(const std::string& sequence) {
  return std::vector<ImageData>(sequence == "joined" ? 2 : 1, digit_images());
}

RunRecord run(const Config& config, const std::vector<ImageData>& data, const TemporaryFolder& folder,
              std::size_t stops_in = 0) {
  Stopper observer(stops_in);
  return run_experiment(config, data, folder.path(), observer);
}

void ignore(const std::string&) {}

/// The sentence with which work is refused as asking for what cannot be; empty where it is done.
std::string refusal(const std::function<void()>& work) {
  try {
    work();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Whether a stored network has the accuracies of a row of a run's matrix, bit for bit, and its answers do, too.
void check_row(const std::filesystem::path& weights, const std::vector<ImageData>& data,
               const AccuracyMatrix& accuracy, std::size_t row, std::size_t threads = 1) {
  const TrainedNetwork trained = read_weights(weights);
  CHECK(trained.tasks_trained == row);
  const Config config =
      read_config_of_run(trained.config, "stored", {fmt::format("--run.threads={}", threads)});
  Tester tester(trained, config, data, ignore);
  REQUIRE(tester.tasks() == accuracy.tasks());
  for (std::size_t task = 1; task <= accuracy.tasks(); ++task) {
    INFO("row " << row << " task " << task);
    const TestedTask tested = tester.test(task - 1);
    CHECK(tested.result.accuracy == accuracy.at(row, task));
    CHECK(tested.task == trained.tasks[task - 1]);
    std::size_t right = 0;
    for (std::size_t i = 0; i < tested.labels.size(); ++i) right += tested.labels[i] == tested.answers[i];
    CHECK(static_cast<double>(right) / static_cast<double>(tested.samples.size()) == tested.result.accuracy);
    CHECK(tested.scores.size() == tested.samples.size() * trained.logits());
  }
}

TEST_CASE("a test of the stored network gives the last row of the accuracy matrix, of every sequence",
          "[tester]") {
  for (const std::string& sequence : task_sequences().names()) {
    const bool has_heads = sequence == "split" || sequence == "joined";
    for (const std::string& head :
         has_heads ? std::vector<std::string>{"task", "all", "shared"} : std::vector<std::string>{""}) {
      INFO(sequence << " " << head);
      const std::vector<ImageData> data = data_of(sequence);
      const TemporaryFolder folder;
      const RunRecord record = run(digits(sequence, head), data, folder);
      check_row(folder.path() / weights_name, data, record.accuracy, record.accuracy.tasks());
    }
  }
}

TEST_CASE("the same where each data set is scaled by moments of its own", "[tester]") {
  std::vector<ImageData> data = data_of("joined");
  for (ImageSet* const set : {&data[1].train, &data[1].test}) {
    for (std::uint8_t& pixel : set->pixels) pixel = static_cast<std::uint8_t>(255 - pixel);
  }
  Config config = digits("joined");
  config.set("data.scaling", "each");
  const auto tasks = config.make_tasks(data);
  CHECK(tasks->own_moments(0).value().mean == Approx(1 - tasks->own_moments(1).value().mean));
  const TemporaryFolder folder;
  const RunRecord record = run(config, data, folder);
  check_row(folder.path() / weights_name, data, record.accuracy, 2);
  CHECK(record.accuracy.at(2, 2) > 0.8);
}

TEST_CASE("the same on several threads, of samples held back, of recurrent networks and after replay",
          "[tester][threads]") {
  std::vector<Config> configs(4, digits("permuted"));
  configs[0].tasks.held_back_samples = {150};
  configs[1].set("neuron.model", "alif");
  configs[1].set("rule.name", "bptt");
  configs[1].set("network.recurrent", "true");
  configs[1].set("network.readout_tau", "10");
  configs[2].set("protection.name", "replay");
  configs[2].set("replay.batch_size", "100");  // more than training's
  configs[3].set("protection.name", "joint");
  for (const Config& config : configs) {
    INFO(config_text(config));
    const TemporaryFolder folder;
    const RunRecord record = run(config, data_of("permuted"), folder);
    for (const std::size_t threads : {1, 3})
      check_row(folder.path() / weights_name, data_of("permuted"), record.accuracy, 3, threads);
  }
}

TEST_CASE("each task's network is kept where that is asked, and has its row", "[tester]") {
  const std::vector<ImageData> data = data_of("split");
  Config config = digits("split", "task");
  config.set("experiment.save_weights", "each");
  const TemporaryFolder folder;
  const RunRecord record = run(config, data, folder);
  for (std::size_t task = 1; task <= 5; ++task)
    check_row(folder.path() / weights_name_after(task), data, record.accuracy, task);
  CHECK(read_weights(folder.path() / weights_name).projections ==
        read_weights(folder.path() / weights_name_after(5)).projections);
  CHECK_FALSE(read_weights(folder.path() / weights_name).projections ==
              read_weights(folder.path() / weights_name_after(4)).projections);
}

TEST_CASE("an interrupted run has the network of its last finished task, and none of an earlier run",
          "[tester]") {
  const std::vector<ImageData> data = data_of("permuted");
  const TemporaryFolder folder;
  Config config = digits("permuted");
  config.set("experiment.save_weights", "each");
  run(config, data, folder);
  CHECK_THROWS_WITH(run(digits("permuted"), data, folder, 3), "stopped");
  const RunRecord partial = read_run_file(folder.path() / RunFile::partial_name);
  CHECK(partial.tasks_done == 2);
  check_row(folder.path() / weights_name, data, partial.accuracy, 2);
  CHECK_FALSE(std::filesystem::exists(folder.path() / weights_name_after(3)));

  remove_run(folder.path());
  CHECK(std::filesystem::is_empty(folder.path()));
  CHECK_THROWS_WITH(run(digits("permuted"), data, folder, 1), "stopped");
  CHECK_THROWS_AS(weights_file_at(folder.path()), EnvironmentError);
}

TEST_CASE("a run that starts from weights begins where they ended, thresholds included", "[tester]") {
  const std::vector<ImageData> data = data_of("permuted");
  for (const char* model : {"lif_dsr", "lif"}) {
    INFO(model);
    Config config = digits("permuted");
    config.set("neuron.model", model);
    if (model == std::string("lif")) config.set("rule.name", "bptt");
    config.optimiser.choose("adam");  // which moves thresholds
    const TemporaryFolder first, second;
    const RunRecord before = run(config, data, first);
    config.network.weights = first.path().string();
    const RunRecord after = run(config, data, second);
    for (std::size_t task = 1; task <= 3; ++task)
      CHECK(after.accuracy.at(0, task) == before.accuracy.at(3, task));
    CHECK(after.accuracy.at(3, 3) != before.accuracy.at(3, 3));
    CHECK(after.config.find("weights = " + first.path().string()) != std::string::npos);
    check_row(second.path() / weights_name, data, after.accuracy, 3);

    CHECK(contains(refusal([&] { run(config, data, first); }), "folder of this run"));
    CHECK(read_weights(first.path() / weights_name).tasks_trained == 3);
    config.network.hidden = {31};
    const std::string sentence = refusal([&] { run(config, data, second); });
    CHECK(sentence.starts_with("network.weights: " + first.path().string()));
    CHECK(contains(sentence, "hidden1 (30 "));
    CHECK(contains(sentence, "hidden1 (31 "));
  }
}

TEST_CASE("a stored network is tested on other data and tasks that fit it, with its own moments",
          "[tester]") {
  const TemporaryFolder folder;
  std::vector<ImageData> data = data_of("permuted");
  run(digits("permuted"), data, folder);
  const TrainedNetwork trained = read_weights(folder.path() / weights_name);
  CHECK(trained.mean == Approx(0.305).margin(0.02));
  const auto test = [&](const std::vector<std::string>& settings) {
    const Config config = read_config_of_run(trained.config, "stored", settings);
    return Tester(trained, config, data, ignore).test(1);
  };
  const TestedTask all = test({});
  const TestedTask some = test({"--tasks.test_samples=100", "--tasks.count=2"});
  CHECK(some.samples == std::vector<std::uint32_t>(all.samples.begin(), all.samples.begin() + 100));
  CHECK(std::equal(some.scores.begin(), some.scores.end(), all.scores.begin()));
  CHECK(test({"--data.mean=0.9"}).scores != all.scores);
  CHECK(test({"--experiment.seed=1"}).result.accuracy < all.result.accuracy - 0.3);
  for (std::uint8_t& pixel : data[0].train.pixels) pixel = 255;  // of which the mean would be another one
  CHECK(test({}).scores == all.scores);

  const auto refused = [&](const std::vector<std::string>& settings) {
    return refusal([&] { test(settings); });
  };
  CHECK(contains(refused({"--network.hidden=30"}), "network.hidden: it is the run's own"));
  CHECK(contains(refused({"--tasks.cuont=2"}), "'tasks.count'"));
  const std::string logits = refused({"--tasks.sequence=split"});
  CHECK(contains(logits, "need 6 logits"));
  CHECK(contains(logits, "has 10"));
  data[0].train.height = data[0].test.height = 4;
  data[0].train.width = data[0].test.width = 16;
  CHECK(contains(refused({}), "1 × 4 × 16"));
  CHECK(contains(refused({}), "1 × 8 × 8"));
  CHECK_THROWS_AS(read_config_of_run("[a]\nb\n", "stored", {}), EnvironmentError);
}

TEST_CASE("weights that are not of their own config are refused", "[tester]") {
  const TemporaryFolder folder;
  const std::vector<ImageData> data = data_of("permuted");
  run(digits("permuted"), data, folder);
  TrainedNetwork trained = read_weights(folder.path() / weights_name);
  const Config config = read_config_of_run(trained.config, "stored", {});
  trained.populations[1].threshold.clear();
  CHECK_THROWS_AS(Tester(trained, config, data, ignore), EnvironmentError);
  trained = read_weights(folder.path() / weights_name);
  trained.projections[1].values[0] = 3e38F;
  trained.projections[1].values[1] = 3e38F;
  trained.projections[1].values[10] = 3e38F;
  Tester tester(trained, config, data, ignore);
  CHECK_THROWS_AS(tester.test(0), EnvironmentError);
}

TEST_CASE("predictions are written as text and as HDF5", "[tester]") {
  const TestedTask first{.task = {"a", false},
                         .head = {0, 2},
                         .samples = {4, 7},
                         .labels = {0, 1},
                         .answers = {1, 1},
                         .scores = {0.1F, 0.25F, -1e-8F, 3.0F},
                         .result = {}};
  TestedTask second = first;
  second.samples = {1, 2};
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name) {
    const auto file = make_predictions_file(folder.path() / name, 2);
    file->add(1, first);
    file->add(3, second);
    CHECK_FALSE(std::filesystem::exists(folder.path() / name));
    file->finish();
    return folder.path() / name;
  };
  std::stringstream text;
  text << std::ifstream(write("p.csv")).rdbuf();
  CHECK(text.str() ==
        "task,sample,label,prediction,score_0,score_1\n"
        "1,4,0,1,0.1,0.25\n1,7,1,1,-1e-08,3\n3,1,0,1,0.1,0.25\n3,2,1,1,-1e-08,3\n");
  const Hdf5File file = Hdf5File::open(write("p.h5"));
  using Column = std::vector<std::uint32_t>;
  CHECK(file.read<std::uint32_t>("/task") == Column{1, 1, 3, 3});
  CHECK(file.read<std::uint32_t>("/sample") == Column{4, 7, 1, 2});
  CHECK(file.read<std::uint32_t>("/label") == Column{0, 1, 0, 1});
  CHECK(file.read<std::uint32_t>("/prediction") == Column{1, 1, 1, 1});
  CHECK(file.shape("/scores") == std::vector<std::size_t>{4, 2});
  CHECK(file.read<float>("/scores") ==
        std::vector<float>{0.1F, 0.25F, -1e-8F, 3.0F, 0.1F, 0.25F, -1e-8F, 3.0F});
  CHECK_THROWS_AS(make_predictions_file(folder.path() / "p.txt", 2), ConfigError);
  CHECK_THROWS_AS(make_predictions_file(folder.path() / "none/p.csv", 2), EnvironmentError);
  CHECK_THROWS_AS(make_predictions_file(folder.path() / "none/p.h5", 2), EnvironmentError);
}

}  // namespace
}  // namespace orthospike::testing
