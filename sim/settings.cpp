#include "sim/settings.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/algorithm/string.hpp>
#include <charconv>
#include <cmath>
#include <type_traits>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

[[noreturn]] void refuse(const std::string& name, const std::string& value, const std::string& expected) {
  throw ConfigError(fmt::format("{}: '{}' is not {}", name, value, expected));
}

/// The same for a key that takes one value.
[[noreturn]] void refuse_one(const std::string& name, const std::string& value, const std::string& expected) {
  const bool looks_like_list = value.find_first_of(",|") != std::string::npos;
  refuse(name, value,
         expected + (looks_like_list
                         ? "; it takes one value: to try several, use sweep, where '|' separates them"
                         : ""));
}

template <class Number>
bool parse_number(std::string text, const Range<Number>& range, Number& number) {
  boost::trim(text);
  Number parsed{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  if constexpr (std::is_floating_point_v<Number>) {
    if (!std::isfinite(parsed)) return false;
  }
  if (parsed < range.lowest || (range.open && parsed == range.lowest) || parsed > range.highest) return false;
  number = parsed;
  return true;
}

/// "a number > 0 and <= 1", or with other nouns; "an integer from 1 to 10".
template <class Number>
std::string type_of(const Range<Number>& range, const std::string& noun) {
  if (std::is_unsigned_v<Number> && range.highest != Range<Number>().highest)
    return fmt::format("{} from {} to {}", noun, range.lowest, range.highest);
  std::vector<std::string> bounds;
  if (std::is_unsigned_v<Number> || range.lowest != Range<Number>().lowest)
    bounds.push_back(fmt::format("{} {}", range.open ? ">" : ">=", range.lowest));
  if (range.highest != Range<Number>().highest) bounds.push_back(fmt::format("<= {}", range.highest));
  return bounds.empty() ? noun : fmt::format("{} {}", noun, fmt::join(bounds, " and "));
}

template <class Number>
std::vector<std::string> samples_of(const Range<Number>& range) {
  std::vector<std::string> samples;
  for (const Number number : {range.lowest, range.highest, static_cast<Number>(1), static_cast<Number>(2),
                              static_cast<Number>(0.25)}) {
    Number parsed{};
    const std::string text = fmt::format("{}", number);
    if (parse_number(text, range, parsed)) samples.push_back(text);
  }
  return samples;
}

/// Whether numbers were perhaps meant with decimal commas, as 0,001: nothing but digits and commas. 0, 1 and 0.0,1 are
/// lists without doubt.
bool has_decimal_comma(const std::string& value) {
  return value.find(',') != std::string::npos && value.find_first_not_of("0123456789,") == std::string::npos;
}

std::vector<std::string> split(const std::string& text, const char* separator) {
  std::vector<std::string> parts;
  boost::split(parts, text, boost::is_any_of(separator));
  return parts;
}

template <class Number>
Key number_key(const std::string& name, Number& value, const Range<Number>& range, const std::string& noun,
               const std::string& unit, const std::string& meaning) {
  const std::string type = type_of(range, noun);
  return {.name = name,
          .type = type,
          .unit = unit,
          .meaning = meaning,
          .set =
              [name, &value, range, type](const std::string& text) {
                if (!parse_number(text, range, value)) refuse_one(name, text, type);
              },
          .get = [&value] { return fmt::format("{}", value); },
          .samples = samples_of(range),
          .whole = std::is_unsigned_v<Number>,
          .conditions = {}};
}

template <class Number>
Key list_key(const std::string& name, std::vector<Number>& value, const Range<Number>& range,
             const std::string& noun, const std::string& unit, const std::string& meaning) {
  const std::string type = type_of(range, noun) + ", separated by commas";
  const auto set = [name, &value, range, type](const std::string& text) {
    if (std::is_floating_point_v<Number> && has_decimal_comma(text)) {
      throw ConfigError(
          fmt::format("{}: '{}' looks like a number with a decimal comma; write 0.5 for a half and '0, 5' "
                      "with a blank for two numbers",
                      name, text));
    }
    std::vector<Number> numbers;
    for (const std::string& part : split(text, ",")) {
      if (!parse_number(part, range, numbers.emplace_back())) refuse(name, text, type);
    }
    value = numbers;
  };
  const auto get = [&value] {
    const std::string text = fmt::format("{}", fmt::join(value, ","));
    return has_decimal_comma(text) ? fmt::format("{}", fmt::join(value, ", ")) : text;
  };
  std::vector<std::string> samples = samples_of(range);
  samples.push_back(fmt::format("{}", fmt::join(samples, ", ")));
  return {.name = name,
          .type = type,
          .unit = unit,
          .meaning = meaning,
          .set = set,
          .get = get,
          .samples = samples,
          .whole = std::is_unsigned_v<Number>,
          .conditions = {}};
}

}  // namespace

void SettingsVisitor::operator()(const std::string& name, float& value, Range<float> range,
                                 const std::string& unit, const std::string& meaning) {
  visit_with_conditions(number_key(name, value, range, "a number", unit, meaning));
}

void SettingsVisitor::operator()(const std::string& name, std::size_t& value, Range<std::size_t> range,
                                 const std::string& unit, const std::string& meaning) {
  visit_with_conditions(number_key(name, value, range, "an integer", unit, meaning));
}

void SettingsVisitor::operator()(const std::string& name, bool& value, const std::string& meaning) {
  const auto set = [name, &value](const std::string& text) {
    if (text != "true" && text != "false") refuse_one(name, text, "true or false");
    value = text == "true";
  };
  visit_with_conditions({.name = name,
                         .type = "true or false",
                         .unit = "-",
                         .meaning = meaning,
                         .set = set,
                         .get = [&value] { return value ? "true" : "false"; },
                         .samples = {"true", "false"},
                         .conditions = {}});
}

void SettingsVisitor::operator()(const std::string& name, std::string& value, const std::string& meaning) {
  visit_with_conditions({.name = name,
                         .type = "text",
                         .unit = "-",
                         .meaning = meaning,
                         .set = [&value](const std::string& text) { value = text; },
                         .get = [&value] { return value; },
                         .samples = {"some words", "# \"quoted\" ; "},
                         .conditions = {}});
}

void SettingsVisitor::operator()(const std::string& name, std::optional<float>& value,
                                 const std::string& none, Range<float> range, const std::string& unit,
                                 const std::string& meaning) {
  const std::string type = fmt::format("{} or {}", none, type_of(range, "a number"));
  const auto set = [name, &value, none, range, type](const std::string& text) {
    float number = 0;
    if (text != none && !parse_number(text, range, number)) refuse_one(name, text, type);
    value = text == none ? std::nullopt : std::optional(number);
  };
  std::vector<std::string> samples = samples_of(range);
  samples.push_back(none);
  visit_with_conditions({.name = name,
                         .type = type,
                         .unit = unit,
                         .meaning = meaning,
                         .set = set,
                         .get = [&value, none] { return value ? fmt::format("{}", *value) : none; },
                         .samples = samples,
                         .conditions = {}});
}

void SettingsVisitor::operator()(const std::string& name, std::vector<std::string>& value,
                                 const std::string& none, const std::string& meaning) {
  const std::string type = fmt::format("{}, or words separated by commas", none);
  const auto set = [name, &value, none, type](std::string text) {
    boost::trim(text);
    std::vector<std::string> words;
    if (text != none) words = split(text, ",");
    for (std::string& word : words) {
      boost::trim(word);
      if (word.empty() || word == none) refuse(name, text, type);
    }
    value = words;
  };
  visit_with_conditions(
      {.name = name,
       .type = type,
       .unit = "-",
       .meaning = meaning,
       .set = set,
       .get = [&value, none] { return value.empty() ? none : fmt::format("{}", fmt::join(value, ", ")); },
       .samples = {none, "some, words"},
       .conditions = {}});
}

void SettingsVisitor::operator()(const std::string& name, Selection& value, bool by_chance,
                                 const std::string& unit, const std::string& meaning) {
  const std::string type = by_chance ? "all, a number, A-B or random N" : "all, a number or A-B";
  const auto set = [name, &value, by_chance, type](const std::string& text) {
    const std::optional<Selection> parsed = Selection::parse(text);
    if (!parsed || (parsed->is_random() && !by_chance)) refuse(name, text, type);
    value = *parsed;
  };
  std::vector<std::string> samples = {"all", "3", "2-5"};
  if (by_chance) samples.push_back("random 7");
  visit_with_conditions({.name = name,
                         .type = type,
                         .unit = unit,
                         .meaning = meaning,
                         .set = set,
                         .get = [&value] { return value.text(); },
                         .samples = samples,
                         .conditions = {}});
}

void SettingsVisitor::operator()(const std::string& name, std::vector<float>& value, Range<float> range,
                                 const std::string& unit, const std::string& meaning) {
  visit_with_conditions(list_key(name, value, range, "numbers", unit, meaning));
}

void SettingsVisitor::operator()(const std::string& name, std::vector<std::size_t>& value,
                                 Range<std::size_t> range, const std::string& unit,
                                 const std::string& meaning) {
  visit_with_conditions(list_key(name, value, range, "integers", unit, meaning));
}

void SettingsVisitor::operator()(const std::string& name, std::vector<std::vector<std::size_t>>& value,
                                 Range<std::size_t> range, const std::string& unit,
                                 const std::string& meaning) {
  const std::string type = type_of(range, "integers") + ", separated by commas, in entries separated by ';'";
  const auto set = [name, &value, range, type](const std::string& text) {
    std::vector<std::vector<std::size_t>> entries;
    for (const std::string& entry : split(text, ";")) {
      std::vector<std::size_t>& numbers = entries.emplace_back();
      for (const std::string& part : split(entry, ",")) {
        if (!parse_number(part, range, numbers.emplace_back())) refuse(name, text, type);
      }
    }
    value = entries;
  };
  const auto get = [&value] {
    std::vector<std::string> entries;
    for (const auto& entry : value) entries.push_back(fmt::format("{}", fmt::join(entry, ",")));
    return fmt::format("{}", fmt::join(entries, "; "));
  };
  visit_with_conditions({.name = name,
                         .type = type,
                         .unit = unit,
                         .meaning = meaning,
                         .set = set,
                         .get = get,
                         .samples = {"2", "1,2", "3; 1,2; 2"},
                         .conditions = {}});
}

void SettingsVisitor::operator()(const std::string& name, std::string& value,
                                 const std::vector<std::pair<std::string, std::string>>& words_and_meanings,
                                 const std::string& meaning) {
  const auto current =
      std::ranges::find(words_and_meanings, value, &std::pair<std::string, std::string>::first);
  auto chosen = static_cast<std::size_t>(current - words_and_meanings.begin());
  visit_word(name, words_and_meanings, meaning, chosen, [&] { value = words_and_meanings[chosen].first; });
}

void SettingsVisitor::visit_word(const std::string& name,
                                 const std::vector<std::pair<std::string, std::string>>& words_and_meanings,
                                 const std::string& meaning, std::size_t& chosen,
                                 const std::function<void()>& changed) {
  std::vector<std::string> words, meanings;
  for (const auto& [word, its_meaning] : words_and_meanings) {
    words.push_back(word);
    meanings.push_back(its_meaning.empty() ? word : fmt::format("{} ({})", word, its_meaning));
  }
  const std::string type =
      words.size() == 1 ? words.front() : fmt::format("one of {}", fmt::join(words, ", "));
  const auto set = [&](const std::string& text) {
    const auto found = std::ranges::find(words, text);
    if (found == words.end()) refuse_one(name, text, type);
    chosen = static_cast<std::size_t>(found - words.begin());
    changed();
  };
  const bool explained =
      std::ranges::any_of(words_and_meanings, [](const auto& w) { return !w.second.empty(); });
  visit_with_conditions(
      {.name = name,
       .type = type,
       .unit = "-",
       .meaning = explained ? fmt::format("{}: {}.", meaning, fmt::join(meanings, ", ")) : meaning + ".",
       .set = set,
       .get = [&] { return words.at(chosen); },
       .samples = words,
       .conditions = {}});
}

void SettingsVisitor::only(bool holds, const std::string& condition, const std::function<void()>& keys) {
  const bool before = std::exchange(read_, read_ && holds);
  conditions_.push_back(condition);
  keys();
  conditions_.pop_back();
  read_ = before;
}

void SettingsVisitor::part(const std::string& /*choice*/, const std::string& /*name*/, bool chosen,
                           const std::function<void()>& keys) {
  if (chosen) keys();
}

void SettingsVisitor::renamed(const std::string& prefix, const std::string& beginning,
                              const std::function<void()>& keys) {
  const std::string before = std::exchange(prefix_, prefix), its = std::exchange(beginning_, beginning);
  keys();
  prefix_ = before;
  beginning_ = its;
}

void SettingsVisitor::visit_with_conditions(Key key) {
  key.read = read_;
  key.conditions = conditions_;
  if (!prefix_.empty() && key.name.starts_with(prefix_)) {
    for (std::string* const text : {&key.name, &key.meaning}) boost::replace_all(*text, prefix_, beginning_);
    for (std::string& condition : key.conditions) boost::replace_all(condition, prefix_, beginning_);
    key.set = [set = key.set, prefix = prefix_, beginning = beginning_](const std::string& text) {
      try {
        set(text);
      } catch (const ConfigError& error) {
        throw ConfigError(boost::replace_first_copy(std::string(error.what()), prefix, beginning));
      }
    };
  }
  visit(key);
}

}  // namespace orthospike
