#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "datasets/data_set.hpp"
#include "datasets/task.hpp"
#include "sim/registry.hpp"

namespace orthospike {

/// How much of its data a task shows, and how. Of the lists, entry k is of task k and the last one of all later tasks.
struct TaskSettings {
  enum class HeldBack { stratified, last };
  enum class Boundaries { known, hidden };

  std::vector<std::size_t> epochs = {1};
  std::vector<std::size_t> train_samples = {0};  ///< the first of those that the task has; 0: all
  std::vector<std::size_t> test_samples = {0};
  std::vector<std::size_t> held_back_samples = {0};
  HeldBack held_back = HeldBack::stratified;
  Boundaries boundaries = Boundaries::known;
  float mixing = 0;

  void describe(SettingsVisitor& visit);
};

/// The entry for task k, counted from 0, of a list that has one for each task; the last is that of all later tasks.
template <class T>
T of_task(const std::vector<T>& list, std::size_t k) {
  return list[std::min(k, list.size() - 1)];
}

/// What every sequence is made of. The data outlive the sequence.
struct TaskContext {
  const std::vector<ImageData>& data;
  TaskSettings settings;
  std::uint64_t seed = 0;
  DataSettings::Scaling scaling = DataSettings::Scaling::common;
};

/// Mean and standard deviation of pixel values, 0 to 1.
struct PixelMoments {
  float mean;
  float deviation;
};

/// Tasks in a row. All is a pure function of settings, data, seed and k: without state, asked in any order.
class TaskSequence {
 public:
  struct Traits {
    bool separate_readouts = false;  ///< whether each task is answered by logits that no other one has
  };

  explicit TaskSequence(const TaskContext& context) : context_(context) {}
  TaskSequence(const TaskSequence&) = delete;
  TaskSequence& operator=(const TaskSequence&) = delete;
  virtual ~TaskSequence() = default;

  virtual std::size_t count() const = 0;
  /// Of the read-out that answers all tasks.
  virtual std::size_t logits() const = 0;
  /// Task k, counted from 0, with its samples: of the training samples of its classes, in the order of the data set,
  /// some are held back as its test samples where that is asked; of the others and of the test samples it has the
  /// first so many. Throws ConfigError where nothing is left to train on, EnvironmentError where the data set has no
  /// sample of its classes.
  Task task(std::size_t k) const;

  const std::vector<ImageData>& data() const { return context_.data; }
  /// Of the images that the network sees, the same for all tasks.
  MapShape shape() const { return plan(0).rendering.shape; }
  /// Of all training samples that some task shows, each counted once, as they are in their data sets.
  PixelMoments training_moments() const;
  /// Those by which the pixels of a data set are scaled where each has its own, of its training samples. Throws
  /// EnvironmentError where all pixels of these are equal.
  std::optional<PixelMoments> own_moments(std::size_t data_set) const;
  /// What a user should know before training, sentences: where more samples are asked for than there are.
  std::vector<std::string> warnings() const;

 protected:
  /// Task k without its samples.
  virtual Task plan(std::size_t k) const = 0;

  std::uint64_t seed() const { return context_.seed; }
  /// The one data set. Throws ConfigError where there are several: `sequence` takes one.
  const ImageData& only_data(const std::string& sequence) const;
  /// A plan with the classes and images of a data set as they are.
  Task plain_task(std::size_t data_set) const;

 private:
  /// As training_moments, of all data sets or one.
  PixelMoments moments_of(std::optional<std::size_t> data_set) const;

  TaskContext context_;
};

/// Sequences by their name.
using TaskSequences = Registry<TaskSequence, const TaskContext&>;
TaskSequences& task_sequences();

}  // namespace orthospike
