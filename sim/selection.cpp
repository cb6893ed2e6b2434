#include "sim/selection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/algorithm/string.hpp>
#include <charconv>
#include <numeric>
#include <string_view>

#include "kernels/random.hpp"

namespace orthospike {

namespace {

constexpr std::string_view at_random = "random ";

std::optional<std::size_t> number(std::string_view text) {
  std::size_t parsed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return parsed;
}

}  // namespace

std::optional<Selection> Selection::parse(std::string text) {
  boost::trim(text);
  if (text == "all") return Selection();
  const std::string_view view = text;
  if (view.starts_with(at_random)) {
    const auto count = number(view.substr(at_random.size()));
    return count.value_or(0) == 0 ? std::nullopt : std::optional(Selection(0, 0, *count));
  }
  const std::size_t dash = view.find('-');
  const auto first = number(view.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : number(view.substr(dash + 1));
  if (!first || !last || *last < *first) return {};
  return range(*first, *last);
}

std::string Selection::text() const {
  if (is_all()) return "all";
  if (is_random()) return fmt::format("{}{}", at_random, random_);
  const auto [first, last] = *range_;
  return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
}

std::vector<std::uint32_t> Selection::choose(std::size_t count, const RandomKey& key) const {
  std::vector<std::uint32_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0U);
  if (is_random()) {
    const std::size_t wanted = size(count);
    for (std::size_t i = 0; i < wanted; ++i) {
      const std::uint32_t word = random_block(key, i / 4).v[i % 4];
      std::swap(numbers[i], numbers[i + bounded(word, static_cast<std::uint32_t>(count - i))]);
    }
    numbers.resize(wanted);
    std::ranges::sort(numbers);
    return numbers;
  }
  std::erase_if(numbers, [&](std::uint32_t i) { return !contains(i); });
  return numbers;
}

std::size_t Selection::size(std::size_t count) const {
  if (is_random()) return std::min(random_, count);
  if (is_all()) return count;
  const auto [first, last] = *range_;
  return first >= count ? 0 : std::min(last, count - 1) - first + 1;
}

}  // namespace orthospike
