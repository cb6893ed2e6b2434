#include "learning/optimisers/schedule.hpp"

#include <cmath>
#include <numbers>
#include <vector>

#include "tests/catch.hpp"

namespace orthospike {
namespace {

/// The factors of all updates of a task.
std::vector<double> factors(const ScheduleSettings& settings, const TaskLength& task) {
  const Schedule schedule(settings);
  std::vector<double> result;
  for (std::size_t u = 0; u < task.epochs * task.updates_per_epoch; ++u)
    result.push_back(schedule.factor(u, task));
  return result;
}

TEST_CASE("a constant schedule leaves the learning rate as it is", "[schedule]") {
  CHECK(factors({}, {.epochs = 2, .updates_per_epoch = 3}) == std::vector<double>(6, 1.0));
}

TEST_CASE("steps come after whole numbers of epochs", "[schedule]") {
  const ScheduleSettings settings{
      .form = ScheduleSettings::Form::step, .step_factor = 0.5F, .step_epochs = 2};
  CHECK(factors(settings, {.epochs = 5, .updates_per_epoch = 2}) ==
        std::vector<double>{1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25});
}

TEST_CASE("a cosine falls from one to zero over the updates of a task", "[schedule]") {
  const std::vector<double> fall =
      factors({.form = ScheduleSettings::Form::cosine}, {.epochs = 4, .updates_per_epoch = 3});
  REQUIRE(fall.size() == 12);
  CHECK(fall[0] == 1.0);
  CHECK(fall[4] == Approx(0.75));
  CHECK(fall[6] == Approx(0.5));
  CHECK(fall[8] == Approx(0.25));
  CHECK(fall[11] == Approx(std::pow(std::sin(std::numbers::pi / 24), 2)));
}

TEST_CASE("any schedule begins with a line when it warms up", "[schedule]") {
  const TaskLength task{.epochs = 3, .updates_per_epoch = 4};
  using Form = ScheduleSettings::Form;
  for (const Form form : {Form::constant, Form::step, Form::cosine}) {
    INFO(static_cast<int>(form));
    const ScheduleSettings cold{.form = form, .step_factor = 0.5F, .step_epochs = 1};
    ScheduleSettings warm = cold;
    warm.warm_up_epochs = 1.25F;  // five updates
    std::vector<double> expected = factors(cold, task);
    for (std::size_t u = 0; u < 5; ++u) expected[u] *= static_cast<double>(u + 1) / 5;
    CHECK(factors(warm, task) == expected);
    warm.warm_up_epochs = 0.1F;  // less than one update
    CHECK(factors(warm, task) == factors(cold, task));
  }
}

}  // namespace
}  // namespace orthospike
