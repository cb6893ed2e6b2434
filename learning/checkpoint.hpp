#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "learning/communicator.hpp"
#include "sim/archive.hpp"
#include "sim/settings.hpp"

namespace orthospike {

/// When checkpoints are written, beside the end of each task.
struct CheckpointSettings {
  float minutes = 10;       ///< since the last one; 0: not by time
  std::size_t batches = 0;  ///< since the last one; 0: not by their number

  void describe(SettingsVisitor& visit);
};

/// What wrote a checkpoint.
struct CheckpointOrigin {
  std::string config;  ///< as run.h5 has it
  std::string version, git_revision;
  std::string device;
};

/// Writes `folder`/checkpoint.h5: everything that a run needs to go on, which `state` hands over, each member of it
/// under `/state` and under checksums. The checkpoint before stays whole until the new one is on the disk and was read
/// back, and then is checkpoint.previous.h5. All ranks of a run call it and the first one writes. Throws EnvironmentError,
/// also where a weight is not finite.
void write_checkpoint(const std::filesystem::path& folder, const CheckpointOrigin& origin, Backend& backend,
                      Communicator& ranks, const std::function<void(Archive&)>& state);

struct Checkpoint {
  std::filesystem::path path;
  CheckpointOrigin origin;
};

/// The newest whole checkpoint in a folder, if there is any; `warn` hears of a newer one that is damaged. Throws
/// EnvironmentError where all there are are damaged.
std::optional<Checkpoint> find_checkpoint(const std::filesystem::path& folder,
                                          const std::function<void(const std::string&)>& warn);
/// By every rank, as many as there are now. Where it is the older one, it takes the place of the newer, damaged one.
/// Throws EnvironmentError where the members are not those that were saved.
void load_checkpoint(const Checkpoint& checkpoint, Backend& backend, Communicator& ranks,
                     const std::function<void(Archive&)>& state);

/// Whether there is any, whole or not.
bool has_checkpoint(const std::filesystem::path& folder);
void remove_checkpoints(const std::filesystem::path& folder);

}  // namespace orthospike
