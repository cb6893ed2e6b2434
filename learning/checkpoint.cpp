#include "learning/checkpoint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kernels/error.hpp"
#include "sim/final_name.hpp"
#include "sim/seal.hpp"

namespace orthospike {

namespace {

constexpr const char* name = "checkpoint.h5";
constexpr const char* previous_name = "checkpoint.previous.h5";
constexpr const char* partial_name = "checkpoint.partial.h5";
constexpr std::array names = {name, previous_name, partial_name};
constexpr const char* format = "orthospike checkpoint 1";

/// Texts stand as bytes, which can be under checksums.
void add_text(Hdf5File& file, const std::string& object, const std::string& text) {
  file.add_checked<std::uint8_t>(object, std::vector<std::uint8_t>(text.begin(), text.end()));
}

std::string text(const Hdf5File& file, const std::string& object) {
  const auto bytes = file.read<std::uint8_t>(object);
  return {bytes.begin(), bytes.end()};
}

/// Throws EnvironmentError where a member is not as it was saved.
Checkpoint read_members(const std::filesystem::path& path) {
  const Hdf5File file = Hdf5File::open(path);
  for (const std::string& object : file.numeric_objects("/")) static_cast<void>(file.read_values(object));
  if (text(file, "/origin/format") != format)
    throw EnvironmentError(fmt::format("{}: not a checkpoint that this version can read", path.string()));
  return {.path = path,
          .origin = {.config = text(file, "/origin/config"),
                     .version = text(file, "/origin/version"),
                     .git_revision = text(file, "/origin/git_revision"),
                     .device = text(file, "/origin/device")}};
}

/// Throws EnvironmentError where the file is damaged anywhere.
Checkpoint read_whole(const std::filesystem::path& path) {
  require_seal(path);
  return read_members(path);
}

}  // namespace

void CheckpointSettings::describe(SettingsVisitor& visit) {
  visit(
      "run.checkpoint_minutes", minutes, not_negative, "min",
      "Time between two checkpoints within a task, from which the same command goes on after an interruption; 0: "
      "only at the end of each task.");
  visit("run.checkpoint_batches", batches, at_least(0), "batches",
        "The same by the number of batches; 0: by time alone.");
}

void write_checkpoint(const std::filesystem::path& folder, const CheckpointOrigin& origin, Backend& backend,
                      Communicator& ranks, const std::function<void(Archive&)>& state) {
  Archive::Sum sum;
  if (!ranks.is_alone()) sum = [&](std::span<float> values) { ranks.sum(values); };
  if (!ranks.is_first()) {
    StateOfOthers others(backend, sum);
    state(others);
    return;
  }
  const std::filesystem::path partial = folder / partial_name;
  try {
    Hdf5File file = Hdf5File::create(partial);
    add_text(file, "/origin/format", format);
    add_text(file, "/origin/config", origin.config);
    add_text(file, "/origin/version", origin.version);
    add_text(file, "/origin/git_revision", origin.git_revision);
    add_text(file, "/origin/device", origin.device);
    StateWriter writer(backend, file, sum);
    state(writer);
    file.close();
    static_cast<void>(read_members(partial));
    seal(partial);
  } catch (const EnvironmentError&) {
    std::error_code error;  // the first one says what is wrong
    std::filesystem::remove(partial, error);
    throw;
  }
  // Whatever a power cut leaves of these two, there is a whole one that find_checkpoint takes.
  if (std::filesystem::exists(folder / name)) std::filesystem::rename(folder / name, folder / previous_name);
  give_final_name(partial, folder / name);
}

std::optional<Checkpoint> find_checkpoint(const std::filesystem::path& folder,
                                          const std::function<void(const std::string&)>& warn) {
  std::string damage;
  for (const char* candidate : {name, previous_name}) {
    const std::filesystem::path path = folder / candidate;
    if (!std::filesystem::exists(path)) continue;
    try {
      Checkpoint checkpoint = read_whole(path);
      if (!damage.empty()) warn(fmt::format("{}; the older {} is used", damage, path.string()));
      return checkpoint;
    } catch (const EnvironmentError& error) {
      if (damage.empty()) damage = error.what();
    }
  }
  if (damage.empty()) return {};
  throw EnvironmentError(fmt::format(
      "{}, and there is no older checkpoint to go on from; --restart begins the run anew", damage));
}

void load_checkpoint(const Checkpoint& checkpoint, Backend& backend, Communicator& ranks,
                     const std::function<void(Archive&)>& state) {
  const Hdf5File file = Hdf5File::open(checkpoint.path);
  StateReader reader(backend, file, ranks.is_first());
  state(reader);
  if (ranks.is_first()) reader.finish();  // what was written of the run is not the others
  // The next one would put a damaged newer one in the place of this one, which all ranks have read by then.
  const std::filesystem::path newest = checkpoint.path.parent_path() / name;
  if (checkpoint.path == newest) return;
  ranks.any(false);
  if (ranks.is_first()) give_final_name(checkpoint.path, newest);
}

bool has_checkpoint(const std::filesystem::path& folder) {
  return std::ranges::any_of(names, [&](const char* file) { return std::filesystem::exists(folder / file); });
}

void remove_checkpoints(const std::filesystem::path& folder) {
  for (const char* file : names) std::filesystem::remove(folder / file);
}

}  // namespace orthospike
