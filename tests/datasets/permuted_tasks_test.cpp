#include "datasets/permuted_tasks.hpp"

#include <algorithm>
#include <set>

#include "tests/catch.hpp"

namespace orthospike {
namespace {

constexpr std::size_t tasks = 3, length = 40;

TEST_CASE("mixed tasks show each of their samples once, away from boundaries in place") {
  for (const double mixing : {0.0, 0.3, 1.0}) {
    std::set<std::pair<std::size_t, std::size_t>> shown;
    std::size_t moved = 0;
    const auto width = static_cast<std::size_t>(mixing * length / 2);
    for (std::size_t task = 0; task < tasks; ++task) {
      for (std::size_t position = 0; position < length; ++position) {
        const TaskPosition at = mixed_position({task, position}, tasks, length, mixing, 2022);
        shown.insert({at.task, at.position});
        CHECK((at.task < tasks && at.position < length));
        if (at.task == task) {
          CHECK(at.position == position);
        } else {
          ++moved;
          CHECK(((at.task == task + 1 && position >= length - width && at.position < width) ||
                 (at.task + 1 == task && position < width && at.position >= length - width)));
        }
      }
    }
    CHECK(shown.size() == tasks * length);
    CHECK((moved > 0) == (mixing > 0));
  }
}

TEST_CASE("around a boundary the next task becomes more likely in a line from 0 to 1") {
  constexpr std::size_t width = 10, seeds = 4000;  // of the window on either side, for mixing 0.5
  for (std::size_t boundary = 0; boundary + 1 < tasks; ++boundary) {
    for (std::size_t i = 0; i < 2 * width; ++i) {
      const bool before = i < width;
      const TaskPosition at =
          before ? TaskPosition{boundary, length - width + i} : TaskPosition{boundary + 1, i - width};
      double next = 0;
      for (std::uint64_t seed = 0; seed < seeds; ++seed)
        next += mixed_position(at, tasks, length, 0.5, seed).task == boundary + 1 ? 1.0 / seeds : 0.0;
      INFO(boundary << ", " << i);
      CHECK(next == Approx((static_cast<double>(i) + 0.5) / (2 * width)).margin(0.035));  // 4.4 deviations
    }
  }
}

TEST_CASE("each boundary and seed mixes in its own way, the same each time") {
  const auto moved = [](std::size_t task, std::uint64_t seed) {
    std::vector<bool> result;
    for (std::size_t position = length / 2; position < length; ++position)
      result.push_back(mixed_position({task, position}, tasks, length, 1, seed).task != task);
    return result;
  };
  CHECK(moved(0, 1) == moved(0, 1));
  CHECK(moved(0, 1) != moved(0, 2));
  CHECK(moved(0, 1) != moved(1, 1));
  CHECK(moved(2, 1) == std::vector<bool>(length / 2, false));  // nothing comes after the last task
}

}  // namespace
}  // namespace orthospike
