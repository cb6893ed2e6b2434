#pragma once

#include <optional>
#include <vector>

#include "datasets/task_sequence.hpp"
#include "kernels/backend.hpp"
#include "kernels/target.hpp"

namespace orthospike {

/// Images in a back end's memory, as a task shows them.
struct ShownImages {
  View<const std::uint8_t> pixels;        ///< [images × inputs]
  View<const std::uint32_t> pixel_order;  ///< [inputs]: input j is value pixel_order[j] of an image
  /// By which their pixels are scaled, or none where that is common to all.
  std::optional<PixelMoments> moments = {};
};

/// The answers that a task seeks to some of its training samples, or to its test samples.
std::vector<Target> targets(const TaskSequence& sequence, const Task& task,
                            const std::vector<std::uint32_t>& samples, bool of_training_set);

/// The tasks of a sequence, with what a back end stores of them. Images are rendered and stored when they are first
/// asked for, once for all tasks that show them alike.
class StoredTasks {
 public:
  StoredTasks(Backend& backend, const TaskSequence& sequence);

  std::size_t count() const { return tasks_.size(); }
  /// Counted from 0, as below.
  const Task& task(std::size_t k) const { return tasks_[k]; }

  /// By the numbers in task(k).train; the view is valid until they are forgotten.
  ShownImages training_images(std::size_t k);
  std::vector<Target> training_targets(std::size_t k) const;

  struct TestSamples {
    ShownImages images;
    View<const std::uint32_t> samples;
    View<const Target> targets;
  };
  TestSamples test_samples(std::size_t k);

  /// Frees the training images that only tasks before `k` show, and no task as test images.
  void forget_training_images_before(std::size_t k);

 private:
  /// Images that tasks share.
  struct Store {
    std::size_t data_set;
    bool of_training_set;
    Rendering rendering;
    std::size_t images = 0;  ///< the first of the set
    std::size_t last_task = 0;
    bool for_tests = false;
    Array<std::uint8_t> pixels = {};
  };
  struct Stored {
    std::size_t training_store, test_store;
    Array<std::uint32_t> pixel_order, test_samples;
    Array<Target> test_targets;
  };

  std::size_t store_of(std::size_t k, bool of_training_set, const std::vector<std::uint32_t>& samples,
                       bool for_tests);
  ShownImages shown(std::size_t k, std::size_t store);

  Backend& backend_;
  const TaskSequence& sequence_;
  std::vector<std::optional<PixelMoments>> moments_;  ///< of each data set
  std::vector<Task> tasks_;
  std::vector<Store> stores_;
  std::vector<Stored> stored_;  ///< of each task
};

}  // namespace orthospike
