#pragma once

#include <string>

namespace orthospike {

/// One sentence to the standard error output, which may be closed.
void print_error(const std::string& sentence);
/// The same for what the user should know and can do nothing wrong about.
void print_warning(const std::string& sentence);

}  // namespace orthospike
