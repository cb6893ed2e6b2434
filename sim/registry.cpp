#include "sim/registry.hpp"

#include <fmt/ranges.h>

#include "kernels/error.hpp"

namespace orthospike {

void throw_unknown_name(const std::string& key, const std::string& name,
                        const std::vector<std::string>& known) {
  throw ConfigError(
      fmt::format("{}: unknown name '{}'; expected one of {}", key, name, fmt::join(known, ", ")));
}

std::string alternatives(const std::vector<std::string>& names) {
  std::string sentence;
  for (std::size_t i = 0; i < names.size(); ++i)
    sentence += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  return sentence;
}

}  // namespace orthospike
