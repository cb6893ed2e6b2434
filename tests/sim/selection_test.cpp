#include "sim/selection.hpp"

#include <set>

#include "tests/catch.hpp"

namespace orthospike::testing {

TEST_CASE("a selection takes all, a range or some at random", "[selection]") {
  const RandomKey key{.seed = 5};
  const auto chosen = [&](const std::string& text, std::size_t count) {
    return Selection::parse(text)->choose(count, key);
  };
  using Numbers = std::vector<std::uint32_t>;
  CHECK(chosen("all", 3) == Numbers{0, 1, 2});
  CHECK(chosen(" 1-2 ", 5) == Numbers{1, 2});
  CHECK(chosen("3", 5) == Numbers{3});
  CHECK(chosen("3-9", 5) == Numbers{3, 4});
  CHECK(chosen("5-9", 5).empty());
  CHECK(chosen("random 9", 4) == Numbers{0, 1, 2, 3});
  const Numbers some = chosen("random 20", 100);
  CHECK(some.size() == 20);
  CHECK(std::set(some.begin(), some.end()).size() == 20);
  CHECK(std::ranges::is_sorted(some));
  CHECK(some != Selection::parse("random 20")->choose(100, {.seed = 6}));
  for (const char* text : {"all", "1-2", "3", "3-9", "5-9", "random 9"}) {
    INFO(text);
    CHECK(Selection::parse(text)->text() == text);
    CHECK(Selection::parse(text)->size(5) == chosen(text, 5).size());
  }
}

TEST_CASE("each is chosen by chance as often as any other", "[selection]") {
  std::vector<int> counts(10);
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    for (const std::uint32_t i : Selection::parse("random 3")->choose(10, {.seed = seed})) ++counts[i];
  }
  for (const int count : counts) CHECK(std::abs(count - 900) < 130);  // five standard deviations
}

TEST_CASE("other texts are no selections", "[selection]") {
  for (const char* text :
       {"", "some", "-1", "1-", "2-1", "1,2", "random", "random 0", "random -1", "1.5", "0x1"}) {
    INFO(text);
    CHECK_FALSE(Selection::parse(text));
  }
}

}  // namespace orthospike::testing
