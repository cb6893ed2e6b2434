#include "datasets/task_sequence.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>
#include <string>

#include "datasets/sample_order.hpp"
#include "datasets/sequences/joined.hpp"
#include "datasets/sequences/permuted.hpp"
#include "datasets/sequences/rotated.hpp"
#include "datasets/sequences/split.hpp"
#include "kernels/error.hpp"
#include "tests/catch.hpp"
#include "tests/datasets/some_data.hpp"

namespace orthospike {
namespace {

using Numbers = std::vector<std::uint32_t>;

Numbers counting(std::uint32_t first, std::uint32_t last) {
  Numbers numbers(last - first);
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

bool same(const Task& a, const Task& b) {
  return a.name == b.name && a.data_set == b.data_set && a.logits == b.logits && a.head == b.head &&
         a.told == b.told && a.rendering == b.rendering && a.pixel_order == b.pixel_order &&
         a.train == b.train && a.test == b.test && a.test_is_held_back == b.test_is_held_back;
}

std::vector<std::size_t> classes_of(const Task& task) {
  std::vector<std::size_t> classes;
  for (std::size_t c = 0; c < task.logits.size(); ++c) {
    if (task.logits[c]) classes.push_back(c);
  }
  return classes;
}

/// Of values, one after the other (Fowler, Noll and Vo).
std::uint64_t hash(const Numbers& values) {
  std::uint64_t sum = 1469598103934665603ULL;
  for (const std::uint32_t value : values) sum = (sum ^ value) * 1099511628211ULL;
  return sum;
}

const std::vector<ImageData>& digits() {
  static const std::vector<ImageData> data = {some_data({28, 28, 1}, 10)};
  return data;
}

TEST_CASE("all sequences: tasks are the same in any order and keep to what they say") {
  for (const auto& entry : task_sequences().entries()) {
    INFO(entry.name);
    std::vector<ImageData> data = {some_data({5, 4, 1}, 10)};
    if (entry.name == "joined") data.push_back(some_data({4, 6, 3}, 3));
    const TaskContext context{.data = data, .settings = {.held_back_samples = {5, 3}}, .seed = 11};
    const auto sequence = task_sequences().make(entry.name, context);
    const auto again = task_sequences().make(entry.name, context);
    REQUIRE(sequence->count() > 1);
    std::vector<Task> tasks;
    for (std::size_t k = 0; k < sequence->count(); ++k) tasks.push_back(sequence->task(k));
    for (std::size_t k = sequence->count(); k-- > 0;) {
      INFO(k);
      const Task& task = tasks[k];
      CHECK(same(again->task(k), task));
      CHECK(task.rendering.shape == sequence->shape());
      CHECK(task.head.first + task.head.width <= sequence->logits());
      CHECK(task.test.size() == (k == 0 ? 5 : 3));
      std::set<std::optional<std::uint8_t>> used;
      for (const auto& logit : task.logits) {
        if (!logit) continue;
        CHECK(used.insert(logit).second);
        CHECK((*logit >= task.head.first && *logit < task.head.first + task.head.width));
      }
      std::set<std::uint32_t> numbers(task.train.begin(), task.train.end());
      for (const std::uint32_t sample : task.test) CHECK(numbers.insert(sample).second);
      CHECK(numbers.size() == task.train.size() + task.test.size());
      const ImageSet& images = data[task.data_set].train;
      CHECK(*numbers.rbegin() < images.count);
      CHECK(task.targets(images.labels, task.train).size() == task.train.size());
      if (!task.pixel_order.empty()) {
        const std::set<std::uint32_t> pixels(task.pixel_order.begin(), task.pixel_order.end());
        CHECK((pixels.size() == images.pixels_per_image() && *pixels.rbegin() == pixels.size() - 1));
      }
      CHECK(rendered(images, 2, task.rendering).size() == 2 * sequence->shape().size());
    }
  }
}

TEST_CASE("permuted tasks have the pixel orders that published numbers were made with") {
  const Permuted sequence({.data = digits(), .settings = {}, .seed = 2022}, {.count = 10});
  const std::vector<std::uint64_t> hashes = {
      0x58e856fd0cd2c5fd, 0x2a244a7097ca7339, 0x8b6a8732e3f16631, 0x379f9c67a3e2e617, 0x282bcb232fb4e4b3,
      0x39c3572bf7c57b0f, 0x75617391aeefe683, 0x8afc442707907b89, 0x6b9dc41185cc9fd1, 0xc03463736dbbd263};
  for (std::size_t k = 0; k < hashes.size(); ++k) CHECK(hash(sequence.task(k).pixel_order) == hashes[k]);
  CHECK(sequence.logits() == 10);
  CHECK(sequence.task(3).head == Head{0, 10});
  CHECK_FALSE(sequence.task(3).told);
  CHECK(sequence.task(3).train == counting(0, 120));
  CHECK(sequence.task(3).test == counting(0, 30));
}

TEST_CASE("permuted pixels keep their channels together") {
  const std::vector<ImageData> grey = {some_data({4, 5, 1}, 2)}, colour = {some_data({4, 5, 3}, 2)};
  const Numbers pixels = Permuted({.data = grey, .settings = {}, .seed = 5}, {}).task(1).pixel_order;
  const Numbers values = Permuted({.data = colour, .settings = {}, .seed = 5}, {}).task(1).pixel_order;
  REQUIRE(values.size() == 60);
  for (std::size_t i = 0; i < values.size(); ++i) CHECK(values[i] == pixels[i / 3] * 3 + i % 3);
}

TEST_CASE("a task has the first of its samples, as many as are asked for") {
  const TaskSettings settings{.train_samples = {7, 0, 9}, .test_samples = {4}};
  const Permuted sequence({.data = digits(), .settings = settings, .seed = 1}, {.count = 5});
  CHECK(sequence.task(0).train == counting(0, 7));
  CHECK(sequence.task(1).train == counting(0, 120));
  CHECK(sequence.task(2).train == counting(0, 9));
  CHECK(sequence.task(4).train == counting(0, 9));
  CHECK(sequence.task(4).test == counting(0, 4));
  CHECK(sequence.warnings().empty());
}

TEST_CASE("asking for more samples than there are warns, once for each key") {
  const TaskSettings settings{.train_samples = {120, 121, 500}, .test_samples = {31}};
  const Permuted sequence({.data = digits(), .settings = settings, .seed = 1}, {.count = 4});
  CHECK(sequence.task(1).train.size() == 120);
  CHECK(
      sequence.warnings() ==
      std::vector<std::string>{
          "tasks.train_samples asks for 121 training samples of task 2, which has 120, and 2 others have too few, too; "
          "all that are there are taken",
          "tasks.test_samples asks for 31 test samples of task 1, which has 30, and 3 others have too few, too; all "
          "that are there are taken"});
}

TEST_CASE("held-back samples stand for the test samples, of the same classes") {
  const std::vector<std::uint8_t>& labels = digits()[0].train.labels;
  TaskSettings settings{.train_samples = {50}, .held_back_samples = {20}};
  const Permuted all({.data = digits(), .settings = settings, .seed = 3}, {.count = 2});
  const Numbers expected = stratified_samples(labels, 20, {3, RandomPurpose::held_back});
  for (const std::size_t k : {0UL, 1UL}) {
    CHECK(all.task(k).test_is_held_back);
    CHECK(all.task(k).test == expected);
    Numbers left = counting(0, 120);
    std::erase_if(left, [&](std::uint32_t i) { return std::ranges::count(expected, i) > 0; });
    left.resize(50);
    CHECK(all.task(k).train == left);
  }
  settings.held_back = TaskSettings::HeldBack::last;
  CHECK(Permuted({.data = digits(), .settings = settings, .seed = 3}, {.count = 1}).task(0).test ==
        counting(100, 120));

  settings = {.held_back_samples = {6}};
  const Task task = Split({.data = digits(), .settings = settings, .seed = 3}, {}).task(1);
  CHECK(std::ranges::count_if(task.test, [&](std::uint32_t i) { return labels[i] == 2; }) == 3);
  CHECK(std::ranges::count_if(task.test, [&](std::uint32_t i) { return labels[i] == 3; }) == 3);
  settings = {.held_back_samples = {6, 24}};
  CHECK_THROWS_WITH(Split({.data = digits(), .settings = settings, .seed = 3}, {}).task(1),
                    "tasks.held_back_samples: 24 of 24 training samples of task 2 leave none to train on");
}

TEST_CASE("moments are of the training samples that some task shows") {
  std::vector<ImageData> data = {some_data({1, 2, 1}, 2)};
  for (std::size_t i = 0; i < data[0].train.count; ++i) {
    data[0].train.pixels[2 * i] = i < 2 ? 51 : 200;
    data[0].train.pixels[2 * i + 1] = i < 2 ? 153 : 7;
  }
  const Permuted sequence({.data = data, .settings = {.train_samples = {2}}, .seed = 1}, {.count = 3});
  CHECK(sequence.training_moments().mean == Approx(0.4));
  CHECK(sequence.training_moments().deviation == Approx(0.2));
  data[0].train.pixels.assign(data[0].train.pixels.size(), 9);
  CHECK(sequence.training_moments().deviation == 0);
}

TEST_CASE("data sets that are scaled each have moments of their own") {
  std::vector<ImageData> data = {some_data({1, 2, 1}, 2), some_data({1, 1, 1}, 3)};
  for (std::size_t i = 0; i < data[0].train.count; ++i) {
    data[0].train.pixels[2 * i] = 51;
    data[0].train.pixels[2 * i + 1] = 153;
  }
  for (std::size_t i = 0; i < data[1].train.count; ++i)
    data[1].train.pixels[i] = i < 3 ? std::array<std::uint8_t, 3>{0, 0, 153}[i] : 200;
  const auto joined = [&](DataSettings::Scaling scaling) {
    return Joined({.data = data, .settings = {.train_samples = {0, 3}}, .seed = 1, .scaling = scaling}, {});
  };
  CHECK_FALSE(joined(DataSettings::Scaling::common).own_moments(1));
  const Joined each = joined(DataSettings::Scaling::each);
  CHECK(each.own_moments(0)->mean == Approx(0.4));
  CHECK(each.own_moments(0)->deviation == Approx(0.2));
  CHECK(each.own_moments(1)->mean == Approx(0.2));
  CHECK(each.own_moments(1)->deviation == Approx(0.6 * std::sqrt(2.0) / 3));
  data[1].train.pixels.assign(data[1].train.pixels.size(), 9);
  CHECK_THROWS_WITH(each.own_moments(1),
                    "data.scaling: all pixels of the training samples of data set 2 are equal");
}

TEST_CASE("rotated tasks have an angle each") {
  const Rotated sequence({.data = digits(), .settings = {}, .seed = 1}, {.angles = {0, -15.5F}});
  CHECK(sequence.count() == 2);
  CHECK(sequence.task(0).rendering.angle == 0);
  CHECK(sequence.task(1).rendering.angle == -15.5F);
  CHECK(sequence.task(1).name == "turned by -15.5 degrees");
  CHECK(sequence.task(1).pixel_order.empty());
  CHECK(sequence.task(1).head == Head{0, 10});
}

TEST_CASE("split tasks show their classes, with one of three kinds of head") {
  const TaskContext context{.data = digits(), .settings = {}, .seed = 1};
  const Split own(context, {.count = 3, .classes = {2, 4}, .head = HeadKind::task});
  CHECK(own.logits() == 10);
  CHECK(classes_of(own.task(0)) == std::vector<std::size_t>{0, 1});
  CHECK(classes_of(own.task(2)) == std::vector<std::size_t>{6, 7, 8, 9});
  CHECK(own.task(2).head == Head{6, 4});
  CHECK(own.task(2).told);
  CHECK(own.task(2).logits[7] == 7);
  CHECK(own.task(0).name == "classes 0, 1");
  for (const std::uint32_t sample : own.task(1).train) CHECK((sample % 10 >= 2 && sample % 10 < 6));
  CHECK(own.task(1).train.size() == 48);

  const Split all(context, {.count = 3, .head = HeadKind::all});
  CHECK(all.logits() == 6);
  CHECK(all.task(2).head == Head{0, 6});
  CHECK_FALSE(all.task(2).told);
  CHECK(all.task(2).logits[5] == 5);

  const Split shared(context, {.count = 3, .classes = {2, 3}, .head = HeadKind::shared});
  CHECK(shared.logits() == 3);
  CHECK(shared.task(0).head == Head{0, 3});
  CHECK_FALSE(shared.task(0).told);
  CHECK(shared.task(2).targets(digits()[0].train.labels, Numbers{5, 6, 7}) ==
        std::vector<std::uint8_t>{0, 1, 2});

  CHECK_THROWS_WITH(Split(context, {.count = 6}),
                    "split.classes: 6 tasks take 12 classes, but the data set has 10");
}

TEST_CASE("shuffled classes are dealt out by the seed") {
  const auto dealt = [](std::uint64_t seed) {
    std::vector<std::vector<std::size_t>> classes;
    const Split sequence({.data = digits(), .settings = {}, .seed = seed}, {.order = Split::Order::shuffled});
    for (std::size_t k = 0; k < sequence.count(); ++k) classes.push_back(classes_of(sequence.task(k)));
    return classes;
  };
  std::set<std::size_t> all;
  for (const auto& classes : dealt(1)) all.insert(classes.begin(), classes.end());
  CHECK(all.size() == 10);
  CHECK(dealt(1) == dealt(1));
  CHECK(dealt(1) != dealt(2));
}

TEST_CASE("a class without samples is told of") {
  std::vector<ImageData> data = {some_data({1, 2, 1}, 4)};
  for (std::uint8_t& label : data[0].test.labels) label %= 2;
  const Split sequence({.data = data, .settings = {}, .seed = 1}, {.count = 2});
  CHECK_NOTHROW(sequence.task(0));
  CHECK_THROWS_WITH(sequence.task(1),
                    "task 2 (classes 2, 3): the data set has no test samples of its classes");
}

TEST_CASE("joined data sets come to one shape and have a task each") {
  std::vector<ImageData> data = {some_data({4, 5, 1}, 3), some_data({6, 2, 3}, 2), some_data({1, 1, 1}, 4)};
  data[1].name = "letters";
  const Joined own({.data = data, .settings = {}, .seed = 1}, {.head = HeadKind::task});
  CHECK(own.count() == 3);
  CHECK(own.shape() == MapShape{6, 5, 3});
  CHECK(own.logits() == 9);
  CHECK(own.task(1).head == Head{3, 2});
  CHECK(own.task(1).told);
  CHECK(own.task(1).data_set == 1);
  CHECK(own.task(1).name == "letters");
  CHECK(own.task(1).logits[1] == 4);
  CHECK(own.task(1).train.size() == 24);
  CHECK(own.task(2).train.size() == 48);
  CHECK(Joined({.data = data, .settings = {}, .seed = 1}, {.head = HeadKind::shared}).logits() == 4);
  CHECK(Joined({.data = data, .settings = {}, .seed = 1}, {.fit = Fit::scale}).task(0).rendering.fit ==
        Fit::scale);
  CHECK_THROWS_WITH(
      Joined({.data = {some_data({1, 1, 2}, 2), some_data({1, 1, 3}, 2)}, .settings = {}, .seed = 1}, {}),
      "data.name: data set 1 has 2 channels and another has 3; only one channel can be repeated");
  CHECK_THROWS_WITH(Permuted({.data = data, .settings = {}, .seed = 1}, {}),
                    "data.name: tasks.sequence permuted takes one data set, not 3; joined takes several");
}

TEST_CASE("more classes than labels can name are refused") {
  const std::vector<ImageData> data = {some_data({1, 1, 1}, 200), some_data({1, 1, 1}, 57)};
  const TaskContext context{.data = data, .settings = {}, .seed = 1};
  CHECK_THROWS_WITH(Joined(context, {}),
                    "data.name: the tasks have 257 classes, expected at most 256 in one read-out");
  CHECK(Joined(context, {.head = HeadKind::shared}).logits() == 200);
}

}  // namespace
}  // namespace orthospike
