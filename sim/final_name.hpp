#pragma once

#include <filesystem>

namespace orthospike {

/// Waits until what was written to a file, or the names in a folder, survive a power cut. Whether they do.
bool reaches_disk(const std::filesystem::path& path);

/// Renames a file that is whole and on the disk; a file of that name is replaced. A kill or a power cut leaves the old one
/// or the new one. Throws EnvironmentError.
void give_final_name(const std::filesystem::path& file, const std::filesystem::path& name);

}  // namespace orthospike
