#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace orthospike {

/// Throws ConfigError that names the key and the known names.
[[noreturn]] void throw_unknown_name(const std::string& key, const std::string& name,
                                     const std::vector<std::string>& known);

/// Makes objects behind `Interface` by their config name. Each interface has one registry, filled where its
/// implementations are listed and open to code outside the library.
template <class Interface, class... Arguments>
class Registry {
 public:
  using Factory = std::function<std::unique_ptr<Interface>(Arguments...)>;

  explicit Registry(std::string key) : key_(std::move(key)) {}

  void add(const std::string& name, Factory factory) { factories_[name] = std::move(factory); }

  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& entry : factories_) result.push_back(entry.first);
    return result;
  }

  /// Throws as throw_unknown_name does.
  std::unique_ptr<Interface> make(const std::string& name, Arguments... arguments) const {
    const auto found = factories_.find(name);
    if (found == factories_.end()) throw_unknown_name(key_, name, names());
    return found->second(std::forward<Arguments>(arguments)...);
  }

 private:
  std::string key_;
  std::map<std::string, Factory> factories_;
};

}  // namespace orthospike
