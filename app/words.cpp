#include "app/words.hpp"

#include <fmt/format.h>

#include "kernels/error.hpp"

namespace orthospike {

Words split_words(const std::string& command, const std::vector<std::string>& words,
                  const std::vector<std::string>& options) {
  Words split;
  for (const std::string& option : options) split.options[option];
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const std::size_t equals = word.find('=');
    const auto option = split.options.find(word.substr(0, equals));
    if (option != split.options.end()) {
      if (equals == std::string::npos && i + 1 == words.size())
        throw ConfigError(fmt::format("{}: option {} needs a value", command, word));
      if (!option->second.empty())
        throw ConfigError(fmt::format("{}: option {} is given twice", command, option->first));
      option->second = equals == std::string::npos ? words[++i] : word.substr(equals + 1);
    } else if (word.starts_with("-") || !split.place.empty()) {
      split.settings.push_back(word);
    } else {
      split.place = word;
    }
  }
  if (split.place.empty()) {
    throw ConfigError(fmt::format("{}: a run folder or weights file is missing; usage: orthospike {} RUN",
                                  command, command));
  }
  return split;
}

}  // namespace orthospike
