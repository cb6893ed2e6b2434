#pragma once

#include <filesystem>
#include <string_view>

namespace orthospike {

/// Processors that this process may use: those of its affinity, or fewer where the quota of its control groups does
/// not pay for them; at least 1.
int usable_processors();

/// Processors' time that control groups grant, as the least of a group and those it lies in; infinite without a
/// quota. membership: content of /proc/self/cgroup; root: where control groups are mounted, of version 1 or 2.
double processor_quota(std::string_view membership, const std::filesystem::path& root);

}  // namespace orthospike
