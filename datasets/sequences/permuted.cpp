#include "datasets/sequences/permuted.hpp"

#include <fmt/format.h>

#include "datasets/sample_order.hpp"

namespace orthospike {

void Permuted::Settings::describe(SettingsVisitor& visit) {
  visit("tasks.count", count, {.lowest = 1, .highest = 10000}, "tasks", "Number of tasks.");
}

Permuted::Permuted(const TaskContext& context, const Settings& settings)
    : TaskSequence(context), settings_(settings) {
  only_data("permuted");
}

Task Permuted::plan(std::size_t k) const {
  Task task = plain_task(0);
  task.name = fmt::format("permutation {}", k + 1);
  const MapShape& shape = task.rendering.shape;
  for (const std::uint32_t pixel : shuffled_order(
           shape.height * shape.width, {seed(), RandomPurpose::pixel_order, static_cast<std::uint32_t>(k)})) {
    for (std::uint32_t channel = 0; channel < shape.channels; ++channel)
      task.pixel_order.push_back(pixel * static_cast<std::uint32_t>(shape.channels) + channel);
  }
  return task;
}

}  // namespace orthospike
