#pragma once

#include <filesystem>
#include <string>

namespace orthospike {

/// What a folder has of recordings, by population, with rates and the share of silent neurons; empty where it has none.
/// Throws EnvironmentError where one is damaged.
std::string recordings_table(const std::filesystem::path& folder);

}  // namespace orthospike
