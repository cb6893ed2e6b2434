#pragma once

#include <string>
#include <vector>

namespace orthospike {

/// Of a run or a sweep that a signal ended: the same command goes on from there.
inline constexpr int interrupted_exit_code = 75;

/// Subcommands, one file each. They get the words after their name, print to stdout and return the exit code.
/// Errors are thrown and become one sentence in main.
int run_command(const std::vector<std::string>& arguments);
int test_command(const std::vector<std::string>& arguments);
int record_command(const std::vector<std::string>& arguments);
int inspect_command(const std::vector<std::string>& arguments);
int report_command(const std::vector<std::string>& arguments);
int export_command(const std::vector<std::string>& arguments);
int import_command(const std::vector<std::string>& arguments);
int simulate_command(const std::vector<std::string>& arguments);
int sweep_command(const std::vector<std::string>& arguments);
int help_command(const std::vector<std::string>& arguments);

}  // namespace orthospike
