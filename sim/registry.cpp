#include "sim/registry.hpp"

#include <fmt/ranges.h>

#include "kernels/error.hpp"

namespace orthospike {

void throw_unknown_name(const std::string& key, const std::string& name,
                        const std::vector<std::string>& known) {
  throw ConfigError(
      fmt::format("{}: unknown name '{}'; expected one of {}", key, name, fmt::join(known, ", ")));
}

}  // namespace orthospike
