#include "datasets/sequences/rotated.hpp"

#include <fmt/format.h>

namespace orthospike {

void Rotated::Settings::describe(SettingsVisitor& visit) {
  visit("rotated.angles", angles, any_number, "degrees",
        "Angle of each task, anticlockwise about the centre of the image.");
}

Rotated::Rotated(const TaskContext& context, const Settings& settings)
    : TaskSequence(context), settings_(settings) {
  only_data("rotated");
}

Task Rotated::plan(std::size_t k) const {
  Task task = plain_task(0);
  task.rendering.angle = settings_.angles[k];
  task.name = fmt::format("turned by {} degrees", settings_.angles[k]);
  return task;
}

}  // namespace orthospike
