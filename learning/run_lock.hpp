#pragma once

#include <filesystem>
#include <string>

namespace orthospike {

/// The right to write a run folder, for one program at a time, also over NFS: a file `lock` in it that only one can
/// make, with the host, the process and when it started. Goes with the object. A lock that a program left when it was
/// killed is taken over by the next on the same host, where it can be seen that its owner is gone. It appears whole, so
/// that a kill at any moment leaves one that can be taken over or none.
class RunLock {
 public:
  static constexpr const char* name = "lock";

  /// Throws EnvironmentError, which says who holds the folder, where another program may, and where no file can be made.
  explicit RunLock(const std::filesystem::path& folder);
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;
  ~RunLock();

  /// Who holds a folder, in words, whether this or another program; empty where none does, or one that can be seen to
  /// be gone.
  static std::string holder(const std::filesystem::path& folder);

 private:
  std::filesystem::path path_;
};

}  // namespace orthospike
