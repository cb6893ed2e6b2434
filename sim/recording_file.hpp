#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sim/hdf5_file.hpp"

namespace orthospike {

/// What was shown to the network for the recorded steps of one presentation.
struct Presentation {
  enum class Phase : std::uint8_t { test, training };

  std::uint32_t task = 0;    ///< whose sample it is, counted from 1
  std::uint32_t sample = 0;  ///< number of the image in its set
  std::uint32_t label = 0;   ///< logit of its class
  std::uint32_t after = 0;   ///< tasks whose training had ended
  Phase phase = Phase::test;
  std::uint32_t epoch = 0;  ///< of the training, counted from 1

  bool operator==(const Presentation&) const = default;
};

/// Which of a population's neurons are recorded.
struct RecordedNeurons {
  std::string population;
  std::size_t size = 0;                ///< of the population
  std::vector<std::uint32_t> neurons;  ///< ascending
};

/// What all files of a recording say about it.
struct RecordingHead {
  double dt = 0;  ///< ms
  std::size_t first_step = 0, steps = 0;
  std::vector<RecordedNeurons> populations;
  bool compressed = true;
  std::string config = {}, version = {}, git_revision = {};
};

/// Presentations and what happened in their P·S recorded steps, in the order of time.
struct RecordedBlock {
  struct Spikes {
    std::vector<std::uint32_t> counts;   ///< [P·S]
    std::vector<std::uint32_t> neurons;  ///< [sum of counts], ascending in each step
  };

  std::vector<Presentation> presentations;
  std::vector<Spikes> spikes;                           ///< of each population, where they are recorded
  std::vector<std::vector<std::vector<float>>> frames;  ///< of each variable and population [P·S × neurons]

  std::size_t bytes() const;
};

/// A file of a recording (layout: recording.md). Until `finish` its name is that with .partial.h5 at the end, and others may
/// read it. Throws EnvironmentError when it cannot be written.
class RecordingFile {
 public:
  virtual ~RecordingFile() = default;

  /// Numbers of presentations, and of spikes of each population where there are any.
  struct Extent {
    std::uint64_t presentations = 0;
    std::vector<std::uint64_t> spikes;
  };

  /// Before anything else: what an earlier file of the same recording held when it had that extent.
  void take_over(const Extent& extent);
  /// Some of it may stay in memory.
  void append(const RecordedBlock& block);
  /// Writes what is in memory.
  void flush();
  void finish();

 protected:
  /// name: without .h5.
  RecordingFile(const std::filesystem::path& folder, const std::string& name, const RecordingHead& head);

  /// Sets of a population; those of all files are there already.
  virtual void add_sets() = 0;
  virtual void append_values(const RecordedBlock& block) = 0;
  virtual void flush_values() = 0;
  /// What the earlier file holds, in pieces.
  virtual void copy_values(const Hdf5File& from, const Extent& extent) = 0;
  /// The file, which is made when something is first written.
  Hdf5File& file();

  const RecordingHead head_;
  std::uint64_t presentations_ = 0;

 private:
  std::filesystem::path path(const std::string& ending) const;
  void add_head();
  void flush_presentations();

  std::filesystem::path folder_;
  std::string name_;
  std::optional<Hdf5File> file_;
  std::vector<Presentation> unwritten_;
};

/// spikes.h5
class SpikesFile final : public RecordingFile {
 public:
  SpikesFile(const std::filesystem::path& folder, const RecordingHead& head);

 private:
  void add_sets() override;
  void append_values(const RecordedBlock& block) override;
  void flush_values() override;
  void copy_values(const Hdf5File& from, const Extent& extent) override;

  struct Times {
    double time;
    std::size_t spikes;
  };
  /// Spikes of a population that do not fill a chunk yet.
  struct Tail {
    std::uint64_t written = 0;  ///< those before
    std::vector<std::uint32_t> neurons;
    std::vector<Times> times;
    std::vector<std::uint64_t> counts;  ///< of each neuron of the population, of all spikes
  };

  void append_step(std::size_t population, std::span<const std::uint32_t> neurons, double time);
  void write_chunk(std::size_t population, std::size_t spikes);

  std::vector<Tail> tails_;
};

/// report-V.h5 of the variable with that index among those of blocks.
class ReportFile final : public RecordingFile {
 public:
  ReportFile(const std::filesystem::path& folder, const std::string& variable, std::size_t index,
             const RecordingHead& head);

 private:
  void add_sets() override;
  void append_values(const RecordedBlock& block) override;
  void flush_values() override;
  void copy_values(const Hdf5File& from, const Extent& extent) override;

  void append_frames(std::size_t population, std::span<const float> values);

  std::string variable_;
  std::size_t index_;
  std::vector<std::vector<float>> unwritten_;  ///< of each population
};

/// What a file of a recording says of one population.
struct RecordedPopulation {
  std::string name;
  std::size_t size = 0;
  std::vector<std::uint64_t> neurons;       ///< recorded
  std::vector<std::uint64_t> spike_counts;  ///< of each of them, in spikes.h5
};

/// What `inspect` says of a recording.
struct RecordingSummary {
  std::filesystem::path path;
  bool finished = false;
  std::string variable;  ///< "spikes" or that of the report
  double dt = 0;         ///< ms
  std::uint64_t first_step = 0, steps = 0, presentations = 0;
  std::vector<RecordedPopulation> populations;

  bool is_spikes() const { return variable == "spikes"; }
};

/// Those in a run folder, by name. Throws EnvironmentError where one is damaged.
std::vector<RecordingSummary> read_recordings(const std::filesystem::path& folder);
/// The files of recordings in a folder, finished or not, by name.
std::vector<std::filesystem::path> recordings_in(const std::filesystem::path& folder);
void remove_recordings(const std::filesystem::path& folder);

}  // namespace orthospike
