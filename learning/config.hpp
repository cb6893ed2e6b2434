#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "datasets/data_set.hpp"
#include "datasets/task_sequence.hpp"
#include "learning/boundary_detector.hpp"
#include "learning/checkpoint.hpp"
#include "learning/clients.hpp"
#include "learning/feedback/error_feedback.hpp"
#include "learning/ini.hpp"
#include "learning/optimisers/optimiser.hpp"
#include "learning/optimisers/schedule.hpp"
#include "learning/protections/protection.hpp"
#include "learning/record_settings.hpp"
#include "learning/rules/rule.hpp"
#include "sim/layered_network.hpp"

namespace orthospike {

struct ExperimentSettings {
  enum class SaveWeights { last, each };

  std::string name = "experiment";
  std::size_t seed = 2022;
  SaveWeights save_weights = SaveWeights::last;

  void describe(SettingsVisitor& visit);
};

struct RunSettings {
  std::string device = "auto";
  std::size_t threads = 0;

  void describe(SettingsVisitor& visit);
};

struct TrainingSettings {
  enum class Update { sequence, step };
  enum class Trained { all, readout };

  std::size_t batch_size = 64;
  Trained trained = Trained::all;
  Update update = Update::sequence;

  void describe(SettingsVisitor& visit);
};

struct MetricSettings {
  enum class Tested { all, learned, current };

  std::size_t quality_samples = 1000;
  Tested tested_tasks = Tested::all;

  void describe(SettingsVisitor& visit);
};

/// Every setting of an experiment, with the parts it takes. Defaults are the published permuted-MNIST settings.
struct Config {
  ExperimentSettings experiment;
  RunSettings run;
  CheckpointSettings checkpoint;
  DataSettings data;
  Choice<TaskSequences> sequence{task_sequences()};
  TaskSettings tasks;
  BoundarySettings boundaries;
  TrainingSettings training;
  LayeredNetwork network;
  DeliverySettings delivery;
  Choice<NeuronModels> neuron{neuron_models()};
  Clock clock;
  Choice<Rules> rule{rules()};
  Choice<ErrorFeedbacks> feedback{error_feedbacks()};
  ProtectionPlan protection;
  FederatedSettings federated;
  Choice<Optimisers> optimiser{optimisers()};
  ScheduleSettings schedule;
  MetricSettings metrics;
  RecordSettings record;

  void describe(SettingsVisitor& visit);
  /// Those keys of `describe` that say which tasks there are and where to compute, and nothing of the network.
  void describe_tasks(SettingsVisitor& visit);
  /// Gives one key the value that a text says. Throws ConfigError as read_config does, also for a key that nothing
  /// reads where the others are as they are.
  void set(const std::string& key, const std::string& value);
  /// The tasks on these data, which outlive them.
  std::unique_ptr<TaskSequence> make_tasks(const std::vector<ImageData>& data_sets) const;
  /// Whether boundaries between tasks are to be detected.
  bool detects_boundaries() const {
    return tasks.boundaries == TaskSettings::Boundaries::hidden &&
           protection.protection().traits().needs_boundaries;
  }

  /// Of the keys that were given, where (FILE:LINE or "command line"), for messages. No setting.
  std::map<std::string, std::string> places;

 private:
  void describe_data(SettingsVisitor& visit);
};

/// A key of a config as `help config` shows it.
struct DeclaredKey {
  std::string name;  ///< section.key
  std::string type;
  std::string unit;  ///< "-" where there is none
  std::string meaning;
  std::string default_value;
  bool whole = false;                ///< whether its numbers are integers
  std::vector<std::string> readers;  ///< when it is read, in words: one of these; empty for always
  std::vector<std::string> parts;    ///< names of the parts that declare it
};

/// All keys of all parts, sections together.
std::vector<DeclaredKey> declared_keys();
/// Those of some settings, in their order.
std::vector<DeclaredKey> declared_keys(const std::function<void(SettingsVisitor&)>& describe);

/// A sentence about a key that is none of those known, which `help` of that topic lists.
std::string unknown_key(const std::string& key, const std::vector<DeclaredKey>& known,
                        const std::string& topic = "config");

/// By key. Throws ConfigError for a key that is given twice.
std::map<std::string, std::string> values_of(const std::vector<Setting>& settings);

/// Options of the form --section.key=value or --section.key value. Throws ConfigError for other words.
std::vector<Setting> command_line_settings(const std::vector<std::string>& words);

/// Reads an INI file (empty path: none) as read_ini does and then command-line arguments of the form
/// --section.key=value or --section.key value, which win. Throws ConfigError for an unknown key, a value out of range, a
/// key given twice or a word that is no option, each with its place, and when the file cannot be read; also for a
/// key with another value than its default that nothing reads: one of the file where nothing reads it as the file has
/// it, so that a command line may choose other parts, and one of the command line where nothing reads it in the end.
Config read_config(const std::filesystem::path& file, const std::vector<std::string>& arguments);
/// The same with settings in place of arguments; their places stand in messages.
Config read_config_with(const std::filesystem::path& file, const std::vector<Setting>& more);

/// The config in a text that config_text wrote, in this or another version, with those keys of Config::describe_tasks that
/// command-line arguments give; `name` stands for the text. Throws EnvironmentError where the text is damaged, ConfigError
/// for the arguments as read_config does, and where they give another key; those of section record may be given where it
/// is to be recorded.
Config read_config_of_run(const std::string& text, const std::string& name,
                          const std::vector<std::string>& arguments, bool recorded = false);

/// A sentence about a key that it begins with, `section.key: …`, with the place where that key was given in front.
std::string with_place(const Config& config, const std::string& sentence);

/// All keys that something reads as an INI file, defaults written out; read_config gives the same config back.
std::string config_text(const Config& config);

/// The values in a text that config_text wrote, in this or another version. Throws ConfigError with `name`, which stands
/// for the text, and a line where it is damaged.
std::map<std::string, std::string> values_by_key(const std::string& text, const std::string& name);

/// The keys that have another value in `config` than in `values` or are read in one of them only, as words: "tasks.count
/// 3 → 2, tasks.mixing (not read) → 5"; empty when there is none. Section run is left out: it is for the machine.
std::string differences(const std::map<std::string, std::string>& values, const Config& config);

/// The name among `names` that is fewest edits from `name` (one character, or an exchange of two neighbours); empty when
/// that is more than one edit for every four characters.
std::string nearest_name(const std::string& name, const std::vector<std::string>& names);

}  // namespace orthospike
