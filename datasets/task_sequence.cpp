#include "datasets/task_sequence.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "datasets/sample_order.hpp"
#include "datasets/sequences/joined.hpp"
#include "datasets/sequences/permuted.hpp"
#include "datasets/sequences/rotated.hpp"
#include "datasets/sequences/split.hpp"
#include "kernels/error.hpp"

namespace orthospike {
namespace {

/// Numbers of the samples of a set whose classes a task shows, in order.
std::vector<std::uint32_t> samples_of(const Task& task, const ImageSet& set) {
  std::vector<std::uint32_t> samples;
  for (std::uint32_t i = 0; i < set.count; ++i) {
    if (task.logits[set.labels[i]]) samples.push_back(i);
  }
  return samples;
}

/// Takes the samples that are held back from those to train on.
std::vector<std::uint32_t> hold_back(const ImageSet& set, std::size_t count, TaskSettings::HeldBack how,
                                     std::uint64_t seed, std::vector<std::uint32_t>& train) {
  std::vector<std::uint32_t> places(count);
  if (how == TaskSettings::HeldBack::stratified) {
    std::vector<std::uint8_t> labels;
    for (const std::uint32_t sample : train) labels.push_back(set.labels[sample]);
    places = stratified_samples(labels, count, {seed, RandomPurpose::held_back});
  } else {
    std::iota(places.begin(), places.end(), static_cast<std::uint32_t>(train.size() - count));
  }
  std::vector<bool> is_held_back(train.size());
  std::vector<std::uint32_t> held_back, others;
  for (const std::uint32_t place : places) {
    is_held_back[place] = true;
    held_back.push_back(train[place]);
  }
  for (std::size_t place = 0; place < train.size(); ++place) {
    if (!is_held_back[place]) others.push_back(train[place]);
  }
  train = others;
  return held_back;
}

void take_first(std::size_t count, std::vector<std::uint32_t>& samples) {
  if (count > 0 && count < samples.size()) samples.resize(count);
}

}  // namespace

void TaskSettings::describe(SettingsVisitor& visit) {
  const std::string by_task = " One number, or one for each task; the last is that of all later tasks.";
  visit("tasks.train_samples", train_samples, at_least(0), "samples",
        "Training samples of a task: the first of those it has; 0: all." + by_task);
  visit("tasks.test_samples", test_samples, at_least(0), "samples",
        "Test samples of a task: the first of those it has; 0: all." + by_task);
  visit(
      "tasks.held_back_samples", held_back_samples, at_least(0), "samples",
      "Training samples of a task that are held back and stand for its test samples, which are not looked at: to choose "
      "settings; 0: none." +
          by_task);
  visit.only(std::ranges::any_of(held_back_samples, [](std::size_t count) { return count > 0; }),
             "tasks.held_back_samples above 0", [&] {
               visit("tasks.held_back", held_back,
                     {{"stratified", HeldBack::stratified, "a random choice, of each class its share"},
                      {"last", HeldBack::last, "the last training samples"}},
                     "Which samples are held back");
             });
  visit("tasks.epochs", epochs, at_least(1), "epochs",
        "Passes over the training samples of a task." + by_task);
  visit("tasks.boundaries", boundaries,
        {{"known", Boundaries::known, ""},
         {"hidden", Boundaries::hidden,
          "training is not told where tasks end; they are detected where needed"}},
        "Whether training is told where tasks begin and end");
  visit("tasks.mixing", mixing, fraction, "-",
        "Share of a task over which boundaries are gradual: around each, samples of both tasks mix.");
}

Task TaskSequence::task(std::size_t k) const {
  const TaskSettings& settings = context_.settings;
  Task task = plan(k);
  const ImageSet& train = data()[task.data_set].train;
  const ImageSet& test = data()[task.data_set].test;
  task.train = samples_of(task, train);
  const std::size_t held_back = of_task(settings.held_back_samples, k);
  if (held_back > 0 && held_back >= task.train.size()) {
    throw ConfigError(
        fmt::format("tasks.held_back_samples: {} of {} training samples of task {} leave none to train on",
                    held_back, task.train.size(), k + 1));
  }
  task.test_is_held_back = held_back > 0;
  task.test = task.test_is_held_back
                  ? hold_back(train, held_back, settings.held_back, context_.seed, task.train)
                  : samples_of(task, test);
  for (const auto* samples : {&task.train, &task.test}) {
    if (samples->empty()) {
      throw EnvironmentError(fmt::format("task {} ({}): the data set has no {} samples of its classes", k + 1,
                                         task.name, samples == &task.train ? "training" : "test"));
    }
  }
  take_first(of_task(settings.train_samples, k), task.train);
  take_first(of_task(settings.test_samples, k), task.test);
  return task;
}

PixelMoments TaskSequence::training_moments() const {
  return moments_of(std::nullopt);
}

std::optional<PixelMoments> TaskSequence::own_moments(std::size_t data_set) const {
  if (context_.scaling == DataSettings::Scaling::common) return std::nullopt;
  const PixelMoments moments = moments_of(data_set);
  if (moments.deviation == 0) {
    throw EnvironmentError(fmt::format(
        "data.scaling: all pixels of the training samples of data set {} are equal", data_set + 1));
  }
  return moments;
}

PixelMoments TaskSequence::moments_of(std::optional<std::size_t> data_set) const {
  std::vector<std::vector<bool>> is_shown;
  for (const ImageData& set : data()) is_shown.emplace_back(set.train.count);
  for (std::size_t k = 0; k < count(); ++k) {
    const Task shown = task(k);
    if (data_set && shown.data_set != *data_set) continue;
    for (const std::uint32_t sample : shown.train) is_shown[shown.data_set][sample] = true;
  }
  std::array<std::uint64_t, 256> histogram{};
  for (std::size_t set = 0; set < is_shown.size(); ++set) {
    const ImageSet& images = data()[set].train;
    const std::size_t size = images.pixels_per_image();
    for (std::size_t i = 0; i < images.count; ++i) {
      if (!is_shown[set][i]) continue;
      for (const std::uint8_t value : std::span(images.pixels).subspan(i * size, size)) ++histogram[value];
    }
  }
  double values = 0, sum = 0, squares = 0;
  for (std::size_t value = 0; value < histogram.size(); ++value) {
    const auto times = static_cast<double>(histogram[value]), x = static_cast<double>(value) / 255;
    values += times;
    sum += times * x;
  }
  const double mean = sum / values;
  for (std::size_t value = 0; value < histogram.size(); ++value) {
    const double difference = static_cast<double>(value) / 255 - mean;
    squares += static_cast<double>(histogram[value]) * difference * difference;
  }
  return {.mean = static_cast<float>(mean), .deviation = static_cast<float>(std::sqrt(squares / values))};
}

std::vector<std::string> TaskSequence::warnings() const {
  struct Asked {
    std::string key, what;
    const std::vector<std::size_t>& wanted;
    std::vector<std::size_t> tasks;  ///< that have fewer
    std::size_t there = 0;           ///< in the first of them
  };
  std::array<Asked, 2> all = {Asked{"tasks.train_samples", "training", context_.settings.train_samples, {}},
                              Asked{"tasks.test_samples", "test", context_.settings.test_samples, {}}};
  for (std::size_t k = 0; k < count(); ++k) {
    const Task task = this->task(k);
    for (Asked& asked : all) {
      const std::size_t there = (&asked == all.data() ? task.train : task.test).size();
      if (of_task(asked.wanted, k) <= there) continue;
      if (asked.tasks.empty()) asked.there = there;
      asked.tasks.push_back(k + 1);
    }
  }
  std::vector<std::string> sentences;
  for (const Asked& asked : all) {
    if (asked.tasks.empty()) continue;
    const std::size_t first = asked.tasks.front(), others = asked.tasks.size() - 1;
    const std::string also = others == 0   ? ""
                             : others == 1 ? ", and one other has too few, too"
                                           : fmt::format(", and {} others have too few, too", others);
    sentences.push_back(
        fmt::format("{} asks for {} {} samples of task {}, which has {}{}; all that are there are taken",
                    asked.key, of_task(asked.wanted, first - 1), asked.what, first, asked.there, also));
  }
  return sentences;
}

const ImageData& TaskSequence::only_data(const std::string& sequence) const {
  if (data().size() != 1) {
    throw ConfigError(
        fmt::format("data.name: tasks.sequence {} takes one data set, not {}; joined takes several", sequence,
                    data().size()));
  }
  return data().front();
}

Task TaskSequence::plain_task(std::size_t data_set) const {
  const ImageSet& set = data()[data_set].train;
  Task task;
  task.data_set = data_set;
  for (std::size_t c = 0; c < set.classes; ++c) task.logits.emplace_back(static_cast<std::uint8_t>(c));
  task.head = {0, set.classes};
  task.rendering.shape = set.shape();
  return task;
}

TaskSequences& task_sequences() {
  static TaskSequences registry = [] {
    TaskSequences all("tasks.sequence", "How tasks differ");
    all.add<Permuted>("permuted", "the same images, each task with its own random order of the pixels");
    all.add<Rotated>("rotated", "the same images, turned by an angle");
    all.add<Split>("split", "some of the classes each");
    all.add<Joined>("joined", "a data set each");
    return all;
  }();
  return registry;
}

}  // namespace orthospike
