#pragma once

#include <string>
#include <vector>

namespace orthospike {

/// The exit code of what a signal stopped and the same command goes on with.
inline constexpr int interrupted_code = 75;

/// Subcommands, one file each. They get the words after their name, print to stdout and return the exit code.
/// Errors are thrown and become one sentence in main.
int run_command(const std::vector<std::string>& arguments);
int test_command(const std::vector<std::string>& arguments);
int inspect_command(const std::vector<std::string>& arguments);
int sweep_command(const std::vector<std::string>& arguments);
int help_command(const std::vector<std::string>& arguments);

}  // namespace orthospike
