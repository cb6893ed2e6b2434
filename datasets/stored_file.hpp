#pragma once

#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>

namespace orthospike {

/// The path of the regular file `name` in `folder`, plain or with .gz. With neither, `error` says why the plain one
/// cannot be had, unless it is there and something else.
std::optional<std::filesystem::path> stored_file(const std::filesystem::path& folder, std::string_view name,
                                                 std::error_code& error);

/// The same where it must be there. Throws EnvironmentError with the reason.
std::filesystem::path required_file(const std::filesystem::path& folder, std::string_view name);

}  // namespace orthospike
