#pragma once

#include <any>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sim/settings.hpp"

namespace orthospike {

/// Throws ConfigError that names the key and the known names.
[[noreturn]] void throw_unknown_name(const std::string& key, const std::string& name,
                                     const std::vector<std::string>& known);

/// "a, b or c", for sentences.
std::string alternatives(const std::vector<std::string>& names);

/// What others must know of a part before it is made, from its settings. Interface::Traits says it where
/// something is to be known; a part says it with Settings::traits() where it differs from the default.
template <class Interface>
struct TraitsOf {
  struct Type {};
};
template <class Interface>
requires requires {
  typename Interface::Traits;
}
struct TraitsOf<Interface> {
  using Type = typename Interface::Traits;
};

/// The parts behind `Interface`, by the name that one key of a config gives. Each interface has one registry, filled
/// where its implementations are listed and open to code outside the library.
template <class Interface, class... Arguments>
class Registry {
 public:
  using Made = std::unique_ptr<Interface>;
  using Traits = typename TraitsOf<Interface>::Type;

  struct Entry {
    std::string name;
    std::string meaning;
    std::any defaults;  ///< settings
    std::function<void(std::any& settings, SettingsVisitor&)> describe;
    std::function<Traits(const std::any& settings)> traits;
    std::function<Made(Arguments..., const std::any& settings)> make;
  };

  /// The first part that is added is the default.
  Registry(std::string key, std::string meaning) : key_(std::move(key)), meaning_(std::move(meaning)) {}

  /// A part with a constructor from the arguments and its Settings, or from the arguments where it has no such type.
  template <class Part>
  void add(const std::string& name, const std::string& meaning) {
    if constexpr (requires { typename Part::Settings; }) {
      add<Part>(name, meaning, typename Part::Settings{});
    } else {
      add(name, meaning, NoSettings{}, [](Arguments... arguments, const NoSettings&) {
        return std::make_unique<Part>(std::forward<Arguments>(arguments)...);
      });
    }
  }

  /// The same with other defaults, where one class is several parts.
  template <class Part, class Settings>
  void add(const std::string& name, const std::string& meaning, const Settings& defaults) {
    add(name, meaning, defaults, [](Arguments... arguments, const Settings& settings) {
      return std::make_unique<Part>(std::forward<Arguments>(arguments)..., settings);
    });
  }

  /// The same where settings decide what is made.
  template <class Settings, class Factory>
  void add(const std::string& name, const std::string& meaning, const Settings& defaults, Factory factory) {
    entries_.push_back(
        {.name = name,
         .meaning = meaning,
         .defaults = defaults,
         .describe = [](std::any& settings,
                        SettingsVisitor& visit) { std::any_cast<Settings&>(settings).describe(visit); },
         .traits = [](const std::any& settings) -> Traits {
           const auto& its = std::any_cast<const Settings&>(settings);
           if constexpr (requires { its.traits(); }) {
             return its.traits();
           } else {
             return {};
           }
         },
         .make = [factory](Arguments... arguments, const std::any& settings) -> Made {
           return factory(std::forward<Arguments>(arguments)..., std::any_cast<const Settings&>(settings));
         }});
  }

  const std::string& key() const { return key_; }
  const std::string& meaning() const { return meaning_; }
  const std::vector<Entry>& entries() const { return entries_; }

  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const Entry& entry : entries_) result.push_back(entry.name);
    return result;
  }

  /// Throws as throw_unknown_name does.
  const Entry& entry(const std::string& name) const {
    const auto found = std::ranges::find(entries_, name, &Entry::name);
    if (found == entries_.end()) throw_unknown_name(key_, name, names());
    return *found;
  }

  /// With default settings. Throws as throw_unknown_name does.
  Made make(const std::string& name, Arguments... arguments) const {
    const Entry& its = entry(name);
    return its.make(std::forward<Arguments>(arguments)..., its.defaults);
  }

 private:
  std::string key_, meaning_;
  std::vector<Entry> entries_;
};

/// Which part of a registry a config takes, and the settings of that part.
template <class Registry>
class Choice {
 public:
  /// The registry outlives it.
  explicit Choice(const Registry& registry) : registry_(&registry) { choose(registry.names().front()); }

  const std::string& name() const { return name_; }
  /// With default settings. Throws as throw_unknown_name does.
  void choose(const std::string& name) {
    settings_ = registry_->entry(name).defaults;
    name_ = name;
  }
  /// Throws std::bad_any_cast where the part has another type of settings.
  template <class Settings>
  Settings& settings() {
    return std::any_cast<Settings&>(settings_);
  }
  auto traits() const { return registry_->entry(name_).traits(settings_); }
  template <class... Arguments>
  auto make(Arguments&&... arguments) const {
    return registry_->entry(name_).make(std::forward<Arguments>(arguments)..., settings_);
  }

  void describe(SettingsVisitor& visit) {
    std::vector<std::pair<std::string, std::string>> words;
    for (const auto& entry : registry_->entries()) words.emplace_back(entry.name, entry.meaning);
    std::string name = name_;
    visit(registry_->key(), name, words, registry_->meaning());
    if (name != name_) choose(name);
    describe_parts(visit);
  }

  /// The same without the key that chooses.
  void describe_parts(SettingsVisitor& visit) {
    for (const auto& entry : registry_->entries()) {
      const bool chosen = entry.name == name_;
      visit.part(registry_->key(), entry.name, chosen, [&] {
        std::any defaults = entry.defaults;
        entry.describe(chosen ? settings_ : defaults, visit);
      });
    }
  }

 private:
  const Registry* registry_;
  std::string name_;
  std::any settings_;
};

}  // namespace orthospike
