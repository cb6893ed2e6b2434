#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/selection.hpp"

namespace orthospike {

/// Numbers that a setting accepts: from lowest (without it when `open`) to highest. Infinities and NaN never.
template <class Number>
struct Range {
  Number lowest = std::numeric_limits<Number>::lowest();
  Number highest = std::numeric_limits<Number>::max();
  bool open = false;
};

inline constexpr Range<float> any_number{};
inline constexpr Range<float> positive{.lowest = 0, .open = true};
inline constexpr Range<float> not_negative{.lowest = 0};
inline constexpr Range<float> fraction{.lowest = 0, .highest = 1};
inline constexpr Range<float> positive_fraction{.lowest = 0, .highest = 1, .open = true};
inline constexpr Range<float> below_one{.lowest = 0, .highest = 0.9999F};

inline constexpr Range<std::size_t> at_least(std::size_t lowest) {
  return {.lowest = lowest};
}

/// A word that a setting accepts.
template <class Value>
struct Word {
  const char* word;
  Value value;
  const char* meaning;
};

/// A setting whose value is at hand as text.
struct Key {
  std::string name;     ///< section.key
  std::string type;     ///< what it accepts: a range, or its words
  std::string unit;     ///< "-" where there is none
  std::string meaning;  ///< with those of its words
  /// Reads `text` into the value. Throws ConfigError that names the key, the text and the type.
  std::function<void(const std::string& text)> set;
  std::function<std::string()> get;  ///< text that `set` reads back to the same value
  /// Texts of other values: ends of the range, all words. For tests that go through all settings.
  std::vector<std::string> samples;
  bool whole = false;                   ///< whether its numbers are integers
  bool read = true;                     ///< whether its reader reads it, settings before it being as they are
  std::vector<std::string> conditions;  ///< when, in words: all must hold
};

/// Goes through the settings of a part. A part declares them once,
///
///   struct Settings {
///     float lambda = 0.3F;
///     void describe(SettingsVisitor& visit) {
///       visit("leaky.lambda", lambda, positive, "-", "Energy of a direction at which changes along it are halved.");
///     }
///   };
///
/// and from that come parsing, ranges, `help config`, the config text of a run and the refusal of keys that nothing reads.
/// A key that decides whether others are read stands before them, because values may change as they are visited.
class SettingsVisitor {
 public:
  virtual ~SettingsVisitor() = default;

  void operator()(const std::string& name, float& value, Range<float> range, const std::string& unit,
                  const std::string& meaning);
  void operator()(const std::string& name, std::size_t& value, Range<std::size_t> range,
                  const std::string& unit, const std::string& meaning);
  void operator()(const std::string& name, bool& value, const std::string& meaning);
  /// Any line of text.
  void operator()(const std::string& name, std::string& value, const std::string& meaning);
  /// A number, or a word that stands for none.
  void operator()(const std::string& name, std::optional<float>& value, const std::string& none,
                  Range<float> range, const std::string& unit, const std::string& meaning);
  /// Words separated by commas, or a word that stands for none in the list.
  void operator()(const std::string& name, std::vector<std::string>& value, const std::string& none,
                  const std::string& meaning);
  /// Where not `by_chance`, none at random.
  void operator()(const std::string& name, Selection& value, bool by_chance, const std::string& unit,
                  const std::string& meaning);
  /// Numbers separated by commas, at least one.
  void operator()(const std::string& name, std::vector<float>& value, Range<float> range,
                  const std::string& unit, const std::string& meaning);
  void operator()(const std::string& name, std::vector<std::size_t>& value, Range<std::size_t> range,
                  const std::string& unit, const std::string& meaning);
  /// Such lists separated by semicolons, at least one.
  void operator()(const std::string& name, std::vector<std::vector<std::size_t>>& value,
                  Range<std::size_t> range, const std::string& unit, const std::string& meaning);
  /// One of some words.
  template <class Value>
  void operator()(const std::string& name, Value& value, const std::vector<Word<Value>>& words,
                  const std::string& meaning) {
    std::vector<std::pair<std::string, std::string>> meanings;
    for (const Word<Value>& word : words) meanings.emplace_back(word.word, word.meaning);
    const auto current = std::ranges::find(words, value, &Word<Value>::value);
    std::size_t chosen = static_cast<std::size_t>(current - words.begin());
    visit_word(name, meanings, meaning, chosen, [&] { value = words[chosen].value; });
  }
  /// The same where the words themselves are the values.
  void operator()(const std::string& name, std::string& value,
                  const std::vector<std::pair<std::string, std::string>>& words_and_meanings,
                  const std::string& meaning);

  /// Keys that are read only where `holds`; `condition` says so in words, best as "section.key word".
  void only(bool holds, const std::string& condition, const std::function<void()>& keys);

  /// Keys whose names begin with `prefix` and get another beginning in its place, where there are several of a part.
  void renamed(const std::string& prefix, const std::string& beginning, const std::function<void()>& keys);

  /// The keys of one of the parts that `choice`, the name of a key, chooses among.
  virtual void part(const std::string& choice, const std::string& name, bool chosen,
                    const std::function<void()>& keys);

 protected:
  virtual void visit(const Key& key) = 0;

 private:
  /// Calls `changed` after `chosen` was set.
  void visit_word(const std::string& name,
                  const std::vector<std::pair<std::string, std::string>>& words_and_meanings,
                  const std::string& meaning, std::size_t& chosen, const std::function<void()>& changed);
  void visit_with_conditions(Key key);

  bool read_ = true;
  std::vector<std::string> conditions_;
  std::string prefix_, beginning_;  ///< of keys that are renamed; none: ""
};

/// Of a part that has none.
struct NoSettings {
  void describe(SettingsVisitor& /*visit*/) {}
};

}  // namespace orthospike
