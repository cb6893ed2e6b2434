#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "learning/run_file.hpp"

namespace orthospike {

enum class RunState {
  done,         ///< run.h5 is there and whole
  running,      ///< a program holds the folder that cannot be seen to be gone
  failed,       ///< error.txt says why
  interrupted,  ///< begun, and none of the above
  missing       ///< not begun
};

constexpr const char* words(RunState state) {
  constexpr const char* all[] = {"done", "running", "failed", "interrupted", "missing"};
  return all[static_cast<std::size_t>(state)];
}

/// What a run's folder tells of the run.
struct RunStatus {
  RunState state = RunState::missing;
  std::string note;                 ///< running: who; failed: why; interrupted: how far it came; one line
  std::optional<RunRecord> record;  ///< done; of others the last state that can be read, if any
};

/// Looks into a folder, which need not be there. A run.h5 that cannot be read counts as failed.
RunStatus run_status(const std::filesystem::path& folder);

/// Of a failed run: a file error.txt in its folder, with the sentence. Who writes or removes it holds the folder's
/// lock. Where it cannot be written, it is not.
void note_failure(const std::filesystem::path& folder, const std::string& sentence);
void forget_failure(const std::filesystem::path& folder);

/// When the failure was noted; nothing where none is.
std::optional<std::filesystem::file_time_type> time_of_failure(const std::filesystem::path& folder);

}  // namespace orthospike
