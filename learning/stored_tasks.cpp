#include "learning/stored_tasks.hpp"

#include <algorithm>
#include <numeric>

namespace orthospike {

std::vector<Target> targets(const TaskSequence& sequence, const Task& task,
                            const std::vector<std::uint32_t>& samples, bool of_training_set) {
  const ImageData& data = sequence.data()[task.data_set];
  const auto first = static_cast<std::uint8_t>(task.head.first);
  const auto last = static_cast<std::uint8_t>(task.head.first + task.head.width - 1);
  std::vector<Target> result;
  for (const std::uint8_t label : task.targets((of_training_set ? data.train : data.test).labels, samples))
    result.push_back({.label = label, .first = first, .last = last});
  return result;
}

StoredTasks::StoredTasks(Backend& backend, const TaskSequence& sequence)
    : backend_(backend), sequence_(sequence) {
  for (std::size_t set = 0; set < sequence.data().size(); ++set)
    moments_.push_back(sequence.own_moments(set));
  stored_.resize(sequence.count());
  for (std::size_t k = 0; k < sequence.count(); ++k) {
    const Task& task = tasks_.emplace_back(sequence.task(k));
    stored_[k].training_store = store_of(k, true, task.train, false);
    stored_[k].test_store = store_of(k, task.test_is_held_back, task.test, true);
  }
}

std::size_t StoredTasks::store_of(std::size_t k, bool of_training_set,
                                  const std::vector<std::uint32_t>& samples, bool for_tests) {
  const Task& task = tasks_[k];
  auto found = std::ranges::find_if(stores_, [&](const Store& store) {
    return store.data_set == task.data_set && store.of_training_set == of_training_set &&
           store.rendering == task.rendering;
  });
  if (found == stores_.end()) {
    found = stores_.insert(
        stores_.end(),
        {.data_set = task.data_set, .of_training_set = of_training_set, .rendering = task.rendering});
  }
  found->images = std::max<std::size_t>(found->images, std::ranges::max(samples) + std::size_t{1});
  found->last_task = k;
  found->for_tests = found->for_tests || for_tests;
  return static_cast<std::size_t>(found - stores_.begin());
}

ShownImages StoredTasks::shown(std::size_t k, std::size_t number) {
  Store& store = stores_[number];
  if (store.pixels.size() == 0) {
    const ImageData& data = sequence_.data()[store.data_set];
    const std::vector<std::uint8_t> pixels =
        rendered(store.of_training_set ? data.train : data.test, store.images, store.rendering);
    store.pixels = backend_.allocate<std::uint8_t>(pixels.size());
    backend_.upload(std::span(pixels), store.pixels.view());
  }
  Array<std::uint32_t>& order = stored_[k].pixel_order;
  if (order.size() == 0) {
    std::vector<std::uint32_t> numbers = tasks_[k].pixel_order;
    if (numbers.empty()) {
      numbers.resize(store.rendering.shape.size());
      std::iota(numbers.begin(), numbers.end(), 0U);
    }
    order = backend_.allocate<std::uint32_t>(numbers.size());
    backend_.upload(std::span<const std::uint32_t>(numbers), order.view());
  }
  return {.pixels = store.pixels.view(), .pixel_order = order.view(), .moments = moments_[store.data_set]};
}

ShownImages StoredTasks::training_images(std::size_t k) {
  return shown(k, stored_[k].training_store);
}

std::vector<Target> StoredTasks::training_targets(std::size_t k) const {
  return targets(sequence_, tasks_[k], tasks_[k].train, true);
}

StoredTasks::TestSamples StoredTasks::test_samples(std::size_t k) {
  Stored& stored = stored_[k];
  const Task& task = tasks_[k];
  if (stored.test_samples.size() == 0) {
    stored.test_samples = backend_.allocate<std::uint32_t>(task.test.size());
    backend_.upload(std::span(task.test), stored.test_samples.view());
    const std::vector<Target> sought = targets(sequence_, task, task.test, task.test_is_held_back);
    stored.test_targets = backend_.allocate<Target>(sought.size());
    backend_.upload(std::span(sought), stored.test_targets.view());
  }
  return {.images = shown(k, stored.test_store),
          .samples = stored.test_samples.view(),
          .targets = stored.test_targets.view()};
}

void StoredTasks::forget_training_images_before(std::size_t k) {
  for (Store& store : stores_) {
    if (!store.for_tests && store.last_task < k) store.pixels = {};
  }
}

}  // namespace orthospike
