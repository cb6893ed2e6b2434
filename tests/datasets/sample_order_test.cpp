#include "datasets/sample_order.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include "tests/catch.hpp"

namespace orthospike {
namespace {

constexpr std::size_t tasks = 3, length = 40;
const std::vector<std::size_t> lengths(tasks, length);

TEST_CASE("mixed tasks show each of their samples once, away from boundaries in place") {
  for (const double mixing : {0.0, 0.3, 1.0}) {
    std::set<std::pair<std::size_t, std::size_t>> shown;
    std::size_t moved = 0;
    const auto width = static_cast<std::size_t>(mixing * length / 2);
    for (std::size_t task = 0; task < tasks; ++task) {
      for (std::size_t position = 0; position < length; ++position) {
        const TaskPosition at = mixed_position({task, position}, lengths, mixing, 2022);
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
        next += mixed_position(at, lengths, 0.5, seed).task == boundary + 1 ? 1.0 / seeds : 0.0;
      INFO(boundary << ", " << i);
      CHECK(next == Approx((static_cast<double>(i) + 0.5) / (2 * width)).margin(0.035));  // 4.4 deviations
    }
  }
}

TEST_CASE("tasks of unequal length mix as far as the shorter one allows") {
  const std::vector<std::size_t> unequal = {40, 10, 90, 1};
  for (const double mixing : {0.4, 1.0}) {
    std::set<std::pair<std::size_t, std::size_t>> shown;
    std::size_t positions = 0;
    for (std::size_t task = 0; task < unequal.size(); ++task) {
      const auto width = [&](std::size_t other) {
        return static_cast<std::size_t>(mixing *
                                        static_cast<double>(std::min(unequal[task], unequal[other])) / 2);
      };
      for (std::size_t position = 0; position < unequal[task]; ++position, ++positions) {
        const TaskPosition at = mixed_position({task, position}, unequal, mixing, 7);
        REQUIRE(at.task < unequal.size());
        CHECK(at.position < unequal[at.task]);
        shown.insert({at.task, at.position});
        if (at.task > task) CHECK(position >= unequal[task] - width(at.task));
        if (at.task < task) CHECK(position < width(at.task));
      }
    }
    CHECK(shown.size() == positions);
  }
  std::size_t moved = 0;
  for (std::size_t position = 85; position < 90; ++position)
    moved += mixed_position({2, position}, std::vector<std::size_t>{40, 10, 90, 90}, 1, 7).task == 3 ? 1 : 0;
  CHECK(moved > 0);
}

TEST_CASE("held-back samples are of each class in proportion to its share") {
  std::vector<std::uint8_t> labels(600, 0);  // sorted by class: 600, 300, none, 97 and 3
  labels.insert(labels.end(), 300, 1);
  labels.insert(labels.end(), 97, 3);
  labels.insert(labels.end(), 3, 200);
  const auto chosen = [&](std::size_t count, std::uint64_t seed) {
    return stratified_samples(labels, count, {seed, RandomPurpose::held_back});
  };
  const auto of_class = [&](const std::vector<std::uint32_t>& samples, std::uint8_t label) {
    return std::ranges::count_if(samples, [&](std::uint32_t sample) { return labels[sample] == label; });
  };
  for (const std::uint64_t seed : {1U, 2U}) {
    const std::vector<std::uint32_t> samples = chosen(100, seed);
    CHECK(std::set(samples.begin(), samples.end()).size() == 100);
    CHECK(of_class(samples, 0) == 60);
    CHECK(of_class(samples, 1) == 30);
    CHECK(of_class(samples, 3) == 10);  // 9.7, and 0.3 of class 200
    CHECK(std::ranges::max(samples) < 1000);
    CHECK_FALSE(std::ranges::is_sorted(samples));
  }
  CHECK(chosen(100, 1) == chosen(100, 1));
  CHECK(chosen(100, 1) != chosen(100, 2));
  CHECK(of_class(chosen(1, 1), 0) == 1);
  CHECK(chosen(0, 1).empty());
  CHECK(of_class(chosen(1000, 1), 200) == 3);
  CHECK(stratified_samples({}, 0, {}).empty());
}

TEST_CASE("each boundary and seed mixes in its own way, the same each time") {
  const auto moved = [](std::size_t task, std::uint64_t seed) {
    std::vector<bool> result;
    for (std::size_t position = length / 2; position < length; ++position)
      result.push_back(mixed_position({task, position}, lengths, 1, seed).task != task);
    return result;
  };
  CHECK(moved(0, 1) == moved(0, 1));
  CHECK(moved(0, 1) != moved(0, 2));
  CHECK(moved(0, 1) != moved(1, 1));
  CHECK(moved(2, 1) == std::vector<bool>(length / 2, false));  // nothing comes after the last task
}

}  // namespace
}  // namespace orthospike
