#pragma once

#include <map>
#include <string>
#include <utility>

#include "kernels/error.hpp"
#include "learning/ini.hpp"
#include "sim/settings.hpp"

namespace orthospike {

/// Gives keys their values and takes these off the list. Throws ConfigError, which begins with the key, for a value
/// that the key does not take.
class KeyReader final : public SettingsVisitor {
 public:
  explicit KeyReader(std::map<std::string, std::string> given) : given_(std::move(given)) {}

  /// Of keys that were not read.
  const std::map<std::string, std::string>& left() const { return given_; }

 private:
  void visit(const Key& key) override {
    const auto found = given_.find(key.name);
    if (found == given_.end() || !key.read) return;
    if (!is_line_of_text(found->second))
      throw ConfigError(key.name + ": the value is not one line of UTF-8 text");
    key.set(found->second);
    given_.erase(found);
  }

  std::map<std::string, std::string> given_;
};

}  // namespace orthospike
