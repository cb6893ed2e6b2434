#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace orthospike {

/// The words after a command that takes a place, some options with a value, and settings.
struct Words {
  std::filesystem::path place;                 ///< a run folder or file
  std::map<std::string, std::string> options;  ///< by name; empty where it is not given
  std::vector<std::string> settings;           ///< --section.key=value
};

/// Throws ConfigError for an option without a value or given twice, and where the place is missing.
Words split_words(const std::string& command, const std::vector<std::string>& words,
                  const std::vector<std::string>& options);

}  // namespace orthospike
