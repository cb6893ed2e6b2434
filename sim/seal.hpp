#pragma once

#include <filesystem>

namespace orthospike {

/// Adds a line with a checksum of all its bytes to a file that is on the disk, and waits until it is there, too. HDF5
/// does not look behind its end. Throws EnvironmentError.
void seal(const std::filesystem::path& file);

/// Throws EnvironmentError where a file is not as it was when it was sealed: the HDF5 library can crash on such a one.
void require_seal(const std::filesystem::path& file);

}  // namespace orthospike
