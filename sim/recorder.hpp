#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/archive.hpp"
#include "sim/clock.hpp"
#include "sim/clock_engine.hpp"
#include "sim/recording_file.hpp"
#include "sim/settings.hpp"
#include "sim/write_behind.hpp"

namespace orthospike {

/// What to record of a network.
struct RecorderSettings {
  std::vector<std::string> variables;    ///< see recording.md; none: nothing is recorded
  std::vector<std::string> populations;  ///< none: all that spike
  Selection neurons;                     ///< of each population
  Selection steps;
  bool compressed = true;

  bool is_on() const { return !variables.empty(); }
};

/// What a sample that the engine runs is, and whether to record it.
struct ShownSample {
  Presentation presentation;
  bool recorded = false;
};

/// Records what an engine runs while it follows. Files are written by a thread of their own, which holds no more than some
/// megabytes that are not written yet; after that, running waits.
class Recorder final : public EngineObserver {
 public:
  /// Takes from `head` what settings do not say. Writes nothing yet. The engine outlives this. Throws ConfigError for
  /// variables, populations, neurons or steps that there are not.
  Recorder(ClockEngine& engine, const RecorderSettings& settings, const Clock& clock, std::uint64_t seed,
           const std::filesystem::path& folder, RecordingHead head);
  ~Recorder() override;

  /// From now on the engine runs these samples, batch by batch, from place `first` of them on; after the last one nothing
  /// is recorded until this is called again.
  void follow(std::vector<ShownSample> samples, std::size_t first = 0);
  /// Bytes that so many presentations take on the disk, about: of spikes there is more than this where more than a
  /// quarter of all neurons fire in each step.
  double expected_bytes(std::size_t presentations) const;
  /// What is recorded between these two counts only once the second is reached: what is saved in between leaves it out.
  void mark() { marked_ = pushed_; }
  void release() { marked_.reset(); }
  /// Between two batches; what is recorded so far is on the disk after that. Loaded before anything is recorded.
  void state(Archive& archive);
  /// Gives the files their names. Throws EnvironmentError as `ran` does where they could not be written.
  void finish();

  Recording wanted(std::size_t first_step, std::size_t batch) override;
  void ran(const ClockEngine& engine) override;

 private:
  /// An analog variable.
  enum class Kind { current, trace, state };
  struct Variable {
    std::string name;
    Kind kind;
  };
  struct Of {
    std::size_t population;
    std::vector<std::uint32_t> neurons;
    bool all;                                        ///< of them
    std::vector<std::uint8_t> is_recorded;           ///< of each neuron
    std::vector<std::vector<std::uint32_t>> pieces;  ///< neurons that fired in the steps of each run
    std::vector<float> trace, trace_current;         ///< [recorded samples of the batch × neurons]
  };

  std::vector<Of> populations_of(const RecorderSettings& settings, std::uint64_t seed) const;
  std::vector<Variable> variables_of(const RecorderSettings& settings) const;
  void begin_block();
  void take_spikes(std::size_t p, const ConstSpikes& spikes);
  void take_frames(std::size_t p, const ConstActivity& activity);
  void merge_pieces(std::size_t p);
  void push_block();

  ClockEngine& engine_;
  std::vector<Of> populations_;
  std::vector<Variable> variables_;
  std::size_t first_step_ = 0, steps_;
  bool compressed_;
  bool records_spikes_;
  std::vector<ShownSample> samples_;
  std::size_t next_ = 0;               ///< of them
  std::vector<std::size_t> chosen_;    ///< samples of the batch that are recorded
  std::vector<std::size_t> run_ends_;  ///< of the runs of this batch so far, the recorded step after the last
  std::shared_ptr<RecordedBlock> block_;
  RecordingFile::Extent pushed_;  ///< to the writer
  std::optional<RecordingFile::Extent> marked_;
  std::vector<std::unique_ptr<RecordingFile>> files_;
  WriteBehind writer_;  ///< last, so that it ends before the files do
};

}  // namespace orthospike
