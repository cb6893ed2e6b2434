#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace orthospike::emulation {

/// All `__shared__` variables of this program.
const std::vector<std::span<std::byte>>& shared_variables();

/// The name of a function of this program, without its namespaces of ours and its parameters.
std::string function_name(const void* address);

}  // namespace orthospike::emulation
