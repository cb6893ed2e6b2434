#include "learning/optimisers/schedule.hpp"

#include <cmath>
#include <numbers>

namespace orthospike {

void ScheduleSettings::describe(SettingsVisitor& visit) {
  visit(
      "optimiser.learning_rate", learning_rates, not_negative, "-",
      "Learning rate of weights and thresholds, one number, or one for each task; the last is that of all later "
      "tasks. The usual one of adam and adamw is 0.001.");
  visit("optimiser.schedule", form,
        {{"constant", Form::constant, ""},
         {"step", Form::step, "times step_factor every step_epochs"},
         {"cosine", Form::cosine, "to zero at the end of the task"}},
        "How the learning rate goes over a task, anew in each");
  visit.only(form == Form::step, "optimiser.schedule step", [&] {
    visit("optimiser.step_factor", step_factor, positive_fraction, "-", "Factor on the learning rate.");
    visit("optimiser.step_epochs", step_epochs, at_least(1), "epochs",
          "Epochs from one such factor to the next.");
  });
  visit(
      "optimiser.warm_up_epochs", warm_up_epochs, not_negative, "epochs",
      "The learning rate rises in a line over so many epochs (or a fraction) at the start of each task, with "
      "any schedule.");
}

double Schedule::factor(std::size_t update, const TaskLength& length) const {
  const auto u = static_cast<double>(update);
  const auto per_epoch = static_cast<double>(length.updates_per_epoch);
  const double warm_up = settings_.warm_up_epochs * per_epoch;
  const double warmth = u + 1 < warm_up ? (u + 1) / warm_up : 1.0;
  if (settings_.form == ScheduleSettings::Form::step) {
    const std::size_t epoch = update / length.updates_per_epoch;
    return warmth * std::pow(settings_.step_factor, epoch / settings_.step_epochs);
  }
  if (settings_.form == ScheduleSettings::Form::cosine)
    return warmth * (1 + std::cos(std::numbers::pi * u / (static_cast<double>(length.epochs) * per_epoch))) /
           2;
  return warmth;
}

}  // namespace orthospike
