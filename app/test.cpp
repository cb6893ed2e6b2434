#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "app/accuracy_table.hpp"
#include "app/commands.hpp"
#include "app/json.hpp"
#include "app/print_error.hpp"
#include "app/words.hpp"
#include "kernels/error.hpp"
#include "learning/predictions_file.hpp"
#include "learning/tester.hpp"

namespace orthospike {

namespace {

/// Of "1,3", counted from 0; all where there is no text.
std::vector<std::size_t> chosen_tasks(const std::string& text, std::size_t count) {
  std::vector<std::size_t> tasks;
  if (text.empty()) {
    tasks.resize(count);
    std::iota(tasks.begin(), tasks.end(), std::size_t{0});
  }
  for (std::size_t first = 0; !text.empty() && first <= text.size();) {
    const std::size_t end = std::min(text.find(',', first), text.size());
    std::size_t task = 0;
    const auto [rest, error] = std::from_chars(text.data() + first, text.data() + end, task);
    if (error != std::errc() || rest != text.data() + end || task < 1 || task > count) {
      throw ConfigError(fmt::format("--task: '{}' is not a task from 1 to {}, or several separated by commas",
                                    text, count));
    }
    tasks.push_back(task - 1);
    first = end + 1;
  }
  return tasks;
}

/// Answers to tasks that one head answers.
struct Confusion {
  Head head;
  std::vector<std::size_t> tasks;   ///< counted from 1
  std::vector<std::size_t> counts;  ///< [label × answer], both counted from the head's first logit

  void add(std::size_t task, const TestedTask& tested) {
    tasks.push_back(task);
    counts.resize(head.width * head.width);
    for (std::size_t i = 0; i < tested.labels.size(); ++i)
      ++counts[(tested.labels[i] - head.first) * head.width + tested.answers[i] - head.first];
  }

  void print() const {
    const std::size_t digits =
        std::max<std::size_t>(3, fmt::formatted_size("{}", std::ranges::max(counts))) + 1;
    fmt::print(
        "\nconfusion matrix of {} {}: samples of each label (row) by answer (column), as logits\n{:>5}",
        tasks.size() == 1 ? "task" : "tasks", fmt::join(tasks, ", "), "");
    for (std::size_t answer = 0; answer < head.width; ++answer)
      fmt::print("{:>{}}", head.first + answer, digits);
    for (std::size_t label = 0; label < head.width; ++label) {
      fmt::print("\n{:>5}", head.first + label);
      for (std::size_t answer = 0; answer < head.width; ++answer)
        fmt::print("{:>{}}", counts[label * head.width + answer], digits);
    }
    fmt::print("\n");
  }
};

}  // namespace

int test_command(const std::vector<std::string>& words) {
  Words arguments = split_words("test", words, {"--predictions", "--task"});
  const std::filesystem::path path = weights_file_at(arguments.place);
  const TrainedNetwork trained = read_weights(path);
  const Config config = read_config_of_run(trained.config, path.string() + "/config", arguments.settings);
  const std::vector<ImageData> data = read_data_sets(config.data);
  try {
    Tester tester(trained, config, data, print_warning);
    const std::vector<std::size_t> tasks = chosen_tasks(arguments.options["--task"], tester.tasks());
    std::unique_ptr<PredictionsFile> predictions;
    if (const std::string& file = arguments.options["--predictions"]; !file.empty())
      predictions = make_predictions_file(file, trained.logits());
    fmt::print("{}: after {} of {} tasks\n\n{:<6}{:>11}{:>10}{:>10}  name\n", path.string(),
               trained.tasks_trained, trained.tasks.size(), "task", "accuracy %", "loss", "samples");
    std::vector<double> accuracies;
    std::vector<Confusion> confusions;
    bool told = false;
    for (const std::size_t k : tasks) {
      const TestedTask tested = tester.test(k);
      fmt::print("{:<6}{:>11}{:>10.4f}{:>10}  {}\n", k + 1, percent(tested.result.accuracy),
                 tested.result.loss, tested.samples.size(), tested.task.name);
      accuracies.push_back(tested.result.accuracy);
      told = told || tested.task.told;
      if (predictions != nullptr) predictions->add(k + 1, tested);
      auto confusion = std::ranges::find(confusions, tested.head, &Confusion::head);
      if (confusion == confusions.end())
        confusion = confusions.insert(confusions.end(), {.head = tested.head, .tasks = {}, .counts = {}});
      confusion->add(k + 1, tested);
    }
    const double mean =
        std::accumulate(accuracies.begin(), accuracies.end(), 0.0) / static_cast<double>(accuracies.size());
    fmt::print("{:<6}{:>11}\n{}\n", "mean", percent(mean), told_or_not(told));
    for (const Confusion& confusion : confusions) confusion.print();
    if (predictions != nullptr) predictions->finish();
    fmt::print(R"({{"acc": {}, "accuracies": [{}], "weights_file": {}}})"
               "\n",
               json_number(mean), fmt::join(accuracies, ", "), json_text(path.string()));
  } catch (const ConfigError& error) {
    throw ConfigError(with_place(config, error.what()));
  }
  return 0;
}

}  // namespace orthospike
