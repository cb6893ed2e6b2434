#include "datasets/sequences/split.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "datasets/sample_order.hpp"
#include "kernels/error.hpp"

namespace orthospike {
namespace {

std::vector<std::size_t> widths(const Split::Settings& settings) {
  std::vector<std::size_t> widths;
  for (std::size_t k = 0; k < settings.count; ++k) widths.push_back(of_task(settings.classes, k));
  return widths;
}

}  // namespace

void Split::Settings::describe(SettingsVisitor& visit) {
  visit("tasks.count", count, {.lowest = 1, .highest = 10000}, "tasks", "Number of tasks.");
  visit("split.classes", classes, at_least(1), "classes",
        "Classes of a task. One number, or one for each task; the last is that of all later tasks.");
  visit("split.order", order,
        {{"sorted", Order::sorted, "by their labels"},
         {"shuffled", Order::shuffled, "random, by experiment.seed"}},
        "In which order classes are dealt out to tasks");
  visit("split.head", head, head_words(), "Which read-out answers a task");
}

Split::Split(const TaskContext& context, const Settings& settings)
    : TaskSequence(context), settings_(settings), heads_("split.classes", settings.head, widths(settings)) {
  const std::size_t classes = only_data("split").train.classes;
  const std::vector<std::size_t> sizes = widths(settings);
  const std::size_t wanted = std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
  if (wanted > classes) {
    throw ConfigError(fmt::format("split.classes: {} tasks take {} classes, but the data set has {}",
                                  settings.count, wanted, classes));
  }
  std::vector<std::uint32_t> order(classes);
  std::iota(order.begin(), order.end(), 0U);
  if (settings.order == Order::shuffled)
    order = shuffled_order(classes, {seed(), RandomPurpose::class_order});
  auto next = order.begin();
  for (const std::size_t size : sizes) {
    classes_.emplace_back(next, next + static_cast<std::ptrdiff_t>(size));
    next += static_cast<std::ptrdiff_t>(size);
  }
}

Task Split::plan(std::size_t k) const {
  Task task = plain_task(0);
  task.name =
      fmt::format("{} {}", classes_[k].size() == 1 ? "class" : "classes", fmt::join(classes_[k], ", "));
  std::ranges::fill(task.logits, std::nullopt);
  for (std::size_t i = 0; i < classes_[k].size(); ++i) task.logits[classes_[k][i]] = heads_.logit(k, i);
  heads_.assign(k, task);
  return task;
}

}  // namespace orthospike
