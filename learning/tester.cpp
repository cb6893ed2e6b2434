#include "learning/tester.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/error.hpp"
#include "learning/version.hpp"

namespace orthospike {

namespace {

/// With the input's moments that the network was trained with where the config has none.
Config with_moments_of(const TrainedNetwork& trained, Config config) {
  config.data.mean = config.data.mean.value_or(trained.mean);
  config.data.deviation = config.data.deviation.value_or(trained.deviation);
  return config;
}

std::string words(const MapShape& shape) {
  return fmt::format("{} × {} × {}", shape.channels, shape.height, shape.width);
}

}  // namespace

std::unique_ptr<TaskSequence> Tester::matching_sequence(const TrainedNetwork& trained, const Config& config,
                                                        const std::vector<ImageData>& data) {
  std::unique_ptr<TaskSequence> sequence = config.make_tasks(data);
  if (sequence->shape() != trained.shape) {
    throw ConfigError(
        fmt::format("data.name: images of {} values do not fit the network of {}, which takes {}",
                    words(sequence->shape()), trained.path.string(), words(trained.shape)));
  }
  if (sequence->logits() != trained.logits()) {
    throw ConfigError(fmt::format("tasks.sequence: the tasks need {} logits, the network of {} has {}",
                                  sequence->logits(), trained.path.string(), trained.logits()));
  }
  return sequence;
}

Tester::Tester(const TrainedNetwork& trained, const Config& config, const std::vector<ImageData>& data,
               const Warning& warn)
    : config_(config),
      tasks_trained_(trained.tasks_trained),
      sequence_(matching_sequence(trained, config, data)),
      backend_(make_backend(config.run.device, static_cast<int>(config.run.threads), warn)),
      tasks_(*backend_, *sequence_),
      trainer_(*backend_, with_moments_of(trained, config), trained.shape, trained.logits()) {
  const std::string found = difference(trained, trainer_.network(), config.neuron.name());
  if (!found.empty())
    throw EnvironmentError(
        fmt::format("{}: its config describes another network: {}", trained.path.string(), found));
  load(trained, trainer_.network());
}

void Tester::record(const std::filesystem::path& folder) {
  recording_.emplace(config_, tasks_, trainer_.engine(), *backend_, folder,
                     RecordingHead{.populations = {},
                                   .config = config_text(config_),
                                   .version = version,
                                   .git_revision = git_revision});
  std::size_t presentations = 0;
  for (std::size_t k = 0; k < tasks(); ++k) presentations += recorded(k);
  recording_->require_room(presentations);
}

TestedTask Tester::test(std::size_t k) {
  const Task& task = tasks_.task(k);
  const auto& [images, samples, targets] = tasks_.test_samples(k);
  TestedTask tested{.task = {task.name, task.told},
                    .head = task.head,
                    .samples = task.test,
                    .labels = {},
                    .answers = {},
                    .scores = {},
                    .result = {}};
  for (const Target& target : backend_->download(targets)) tested.labels.push_back(target.label);
  if (recording_) recording_->follow_tests(k, tasks_trained_);
  tested.result = trainer_.evaluate(images, samples, targets, [&](ConstMatrix logits) {
    const std::vector<float> scores = backend_->download(logits.values);
    tested.scores.insert(tested.scores.end(), scores.begin(), scores.end());
  });
  const auto width = static_cast<std::ptrdiff_t>(sequence_->logits());
  for (auto row = tested.scores.begin(); row != tested.scores.end(); row += width) {
    const std::span<const float> scores(row, row + width);
    if (!std::ranges::all_of(scores, [](float score) { return std::isfinite(score); }))
      throw EnvironmentError(fmt::format("in task {} scores are not finite", k + 1));
    const auto head = scores.subspan(task.head.first, task.head.width);
    tested.answers.push_back(
        static_cast<std::uint8_t>(std::ranges::max_element(head) - head.begin() + task.head.first));
  }
  return tested;
}

}  // namespace orthospike
