#include "kernels/cpu/processors.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <thread>

namespace orthospike {

namespace {

namespace fs = std::filesystem;

constexpr double unlimited = std::numeric_limits<double>::infinity();

/// The numbers that files hold, in microseconds: a quota for each period. Not a number ("max"), or below 0: no quota.
double quota_of(std::istream&& quota, std::istream&& period) {
  double granted = 0, of = 0;
  return quota >> granted && period >> of && granted > 0 && of > 0 ? granted / of : unlimited;
}

/// Version 2 has both numbers in one file.
double quota_of(const fs::path& group) {
  std::ifstream both(group / "cpu.max");
  std::string quota, period;
  both >> quota >> period;
  return std::min(
      quota_of(std::istringstream(quota), std::istringstream(period)),
      quota_of(std::ifstream(group / "cpu.cfs_quota_us"), std::ifstream(group / "cpu.cfs_period_us")));
}

}  // namespace

double processor_quota(std::string_view membership, const fs::path& root) {
  double quota = unlimited;
  std::istringstream lines{std::string(membership)};
  for (std::string line; std::getline(lines, line);) {
    // hierarchy:controllers:path; version 2 names no controllers.
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
    const fs::path top = controllers.empty() ? root : root / controllers;
    // In a container the path may be that of the host, of which only the top is to be seen.
    fs::path group = top;
    quota = std::min(quota, quota_of(group));
    for (const fs::path& part : fs::path(line.substr(second + 1)).relative_path()) {
      group /= part;
      quota = std::min(quota, quota_of(group));
    }
  }
  return quota;
}

int usable_processors() {
  int processors = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t affinity;
  if (sched_getaffinity(0, sizeof affinity, &affinity) == 0) processors = CPU_COUNT(&affinity);
  std::ostringstream membership;
  membership << std::ifstream("/proc/self/cgroup").rdbuf();
  const double quota = std::ceil(processor_quota(membership.str(), "/sys/fs/cgroup"));
  return std::max(1, quota < processors ? static_cast<int>(quota) : processors);
}

}  // namespace orthospike
