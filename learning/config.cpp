#include "learning/config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "kernels/error.hpp"
#include "learning/key_reader.hpp"

namespace orthospike {

namespace {

std::string section_of(const std::string& name) {
  return name.substr(0, name.find('.'));
}

/// Values with their keys, sections together in the order in which they first come.
template <class Entry>
void sort_by_section(std::vector<Entry>& entries) {
  std::vector<std::string> sections;
  for (const Entry& entry : entries) {
    if (std::ranges::find(sections, section_of(entry.name)) == sections.end())
      sections.push_back(section_of(entry.name));
  }
  std::ranges::stable_sort(
      entries, {}, [&](const Entry& entry) { return std::ranges::find(sections, section_of(entry.name)); });
}

struct Value {
  std::string name;  ///< section.key
  std::string text;
};

/// The keys that are read.
class Writer final : public SettingsVisitor {
 public:
  std::vector<Value> values;

 private:
  void visit(const Key& key) override {
    if (key.read) values.push_back({key.name, key.get()});
  }
};

/// The keys of all parts, whether they are chosen or not.
class Declarations final : public SettingsVisitor {
 public:
  std::vector<DeclaredKey> keys;
  /// Tells of other values than the default for the keys that are in `tried`.
  std::map<std::string, std::string> tried;
  std::map<std::string, std::string> changes;  ///< of those tried, the default that they would change

 private:
  void part(const std::string& choice, const std::string& name, bool /*chosen*/,
            const std::function<void()>& its_keys) override {
    parts_.push_back(name);
    only(true, fmt::format("{} {}", choice, name), its_keys);
    parts_.pop_back();
  }

  void visit(const Key& key) override {
    auto known = std::ranges::find(keys, key.name, &DeclaredKey::name);
    if (known == keys.end()) {
      known = keys.insert(keys.end(), {.name = key.name,
                                       .type = key.type,
                                       .unit = key.unit,
                                       .meaning = key.meaning,
                                       .default_value = key.get(),
                                       .whole = key.whole,
                                       .readers = {},
                                       .parts = {}});
      try_value(key);
    }
    known->parts.insert(known->parts.end(), parts_.begin(), parts_.end());
    add_reader(known->readers, fmt::format("{}", fmt::join(key.conditions, " and ")));
  }

  /// "rule.name bptt" and "rule.name ottt" become "rule.name bptt, ottt".
  static void add_reader(std::vector<std::string>& readers, const std::string& reader) {
    const std::string choice = reader.substr(0, reader.find(' ') + 1);
    const bool is_joint = !readers.empty() && !choice.empty() && readers.back().starts_with(choice) &&
                          reader.find(" and ") == std::string::npos &&
                          readers.back().find(" and ") == std::string::npos;
    if (reader.empty() || std::ranges::find(readers, reader) != readers.end()) return;
    if (is_joint) {
      readers.back() += ", " + reader.substr(choice.size());
    } else {
      readers.push_back(reader);
    }
  }

  void try_value(const Key& key) {
    const auto found = tried.find(key.name);
    if (found == tried.end()) return;
    const std::string before = key.get();
    key.set(found->second);
    if (key.get() != before) changes[key.name] = before;
    key.set(before);
  }

  std::vector<std::string> parts_;
};

Declarations declarations(const std::map<std::string, std::string>& tried) {
  Declarations all;
  all.tried = tried;
  Config().describe(all);
  return all;
}

const DeclaredKey* find_key(const std::vector<DeclaredKey>& keys, const std::string& name) {
  const auto found = std::ranges::find(keys, name, &DeclaredKey::name);
  return found == keys.end() ? nullptr : &*found;
}

/// Throws for the first of these settings, which nothing reads, that has an unknown key or another value than the
/// default.
void refuse_unread(const std::vector<Setting>& settings) {
  if (settings.empty()) return;
  std::map<std::string, std::string> values;
  for (const Setting& setting : settings) values[setting.key] = setting.value;
  const Declarations all = declarations(values);
  for (const Setting& setting : settings) {
    const DeclaredKey* const key = find_key(all.keys, setting.key);
    if (key == nullptr)
      throw ConfigError(fmt::format("{}: {}", setting.place, unknown_key(setting.key, all.keys)));
    const auto changed = all.changes.find(setting.key);
    if (changed == all.changes.end()) continue;
    throw ConfigError(fmt::format("{}: it is read only with {}; leave it at {}", setting.key,
                                  fmt::join(key->readers, " or "), changed->second));
  }
}

/// Gives `config` the values of some settings, of which `must_be_read` are a part.
void read_settings(const std::map<std::string, std::string>& values, const std::vector<Setting>& must_be_read,
                   Config& config) {
  for (const Setting& setting : must_be_read) config.places[setting.key] = setting.place;
  try {
    KeyReader reader(values);
    config.describe(reader);
    std::vector<Setting> unread = must_be_read;
    std::erase_if(unread, [&](const Setting& setting) { return !reader.left().contains(setting.key); });
    refuse_unread(unread);
  } catch (const ConfigError& error) {
    throw ConfigError(with_place(config, error.what()));
  }
}

/// `config`, which has the values of some settings, with more settings, which win.
Config with_more(const Config& config, const std::vector<Setting>& settings,
                 const std::vector<Setting>& more) {
  std::map<std::string, std::string> values = values_of(settings);
  for (const auto& [key, value] : values_of(more)) values[key] = value;
  // Anew, since parts that are chosen now read the earlier settings, too.
  Config both;
  both.places = config.places;
  read_settings(values, more, both);
  return both;
}

/// As it is, in the order of config_text.
std::vector<Value> current_values(Config config) {
  Writer writer;
  config.describe(writer);
  sort_by_section(writer.values);
  return writer.values;
}

}  // namespace

void ExperimentSettings::describe(SettingsVisitor& visit) {
  visit("experiment.name", name, "Name of the experiment, for people and reports.");
  visit("experiment.seed", seed, at_least(0), "-",
        "Seed of every random number: weights, subspaces, pixel orders and sample orders.");
  visit("experiment.save_weights", save_weights,
        {{"last", SaveWeights::last, "weights.h5, of the last task so far"},
         {"each", SaveWeights::each, "also weights-task-K.h5, of each task K"}},
        "Which states of the network to keep in the run's folder");
}

void RunSettings::describe(SettingsVisitor& visit) {
  visit(
      "run.device", device,
      "Where to compute: auto (a GPU when there is one), cuda, cuda:N (the GPU of that number), cpu or reference "
      "(slow, for comparisons).");
  visit(
      "run.threads", threads, {.lowest = 0, .highest = 1024}, "threads",
      "Most threads that the cpu device may use; 0: one for each processor the process may use. Fewer run while "
      "other programs keep the processors busy. Results do not depend on it.");
}

void TrainingSettings::describe(SettingsVisitor& visit) {
  visit("training.batch_size", batch_size, {.lowest = 1, .highest = 65536}, "samples",
        "Samples of one weight update.");
  visit(
      "training.trained", trained,
      {{"all", Trained::all, ""},
       {"readout", Trained::readout,
        "of projections to the read-out; others stay random, which is the floor that a network that learns is measured by"}},
      "Weights that learn");
  visit("rule.update", update,
        {{"sequence", Update::sequence, "after the whole sequence of steps"},
         {"step", Update::step, "after every step, with rules whose gradients need nothing of later steps"}},
        "When weights change");
}

void MetricSettings::describe(SettingsVisitor& visit) {
  visit(
      "metrics.quality_samples", quality_samples, {.lowest = 0, .highest = 100000}, "samples",
      "Training samples of each task whose activity is kept to measure subspaces and leaks, and test samples of all earlier "
      "tasks together whose logits are compared; 0 measures none.");
  visit("metrics.tested_tasks", tested_tasks,
        {{"all", Tested::all, ""},
         {"learned", Tested::learned, "those so far, and the next for FWT"},
         {"current", Tested::current, "it and the next, and after the last all; forgetting is unknown then"}},
        "Which tasks are tested after a task; in sequences of 50, testing all takes longer than training");
}

void Config::describe_tasks(SettingsVisitor& visit) {
  experiment.describe(visit);
  run.describe(visit);
  describe_data(visit);
}

void Config::describe_data(SettingsVisitor& visit) {
  data.describe(visit);
  sequence.describe(visit);
  tasks.describe(visit);
}

void Config::describe(SettingsVisitor& visit) {
  experiment.describe(visit);
  run.describe(visit);
  checkpoint.describe(visit);
  describe_data(visit);
  training.describe(visit);
  neuron.describe(visit);
  clock.describe(visit);
  rule.describe(visit);
  network.describe(visit, rule.traits().readout_may_leak);
  delivery.describe(visit);
  visit.only(rule.traits().reads_feedback, "rules that errors of neurons come back to",
             [&] { feedback.describe(visit); });
  protection.describe(visit);
  federated.describe(visit);
  // Whether they are read is the protection's to say, too.
  visit.only(detects_boundaries(), "tasks.boundaries hidden", [&] { boundaries.describe(visit); });
  optimiser.describe(visit);
  schedule.describe(visit);
  metrics.describe(visit);
  record.describe(visit);
}

std::unique_ptr<TaskSequence> Config::make_tasks(const std::vector<ImageData>& data_sets) const {
  return sequence.make(
      TaskContext{.data = data_sets, .settings = tasks, .seed = experiment.seed, .scaling = data.scaling});
}

void Config::set(const std::string& key, const std::string& value) {
  read_settings({{key, value}}, {{.key = key, .value = value, .place = "set"}}, *this);
}

std::vector<DeclaredKey> declared_keys() {
  std::vector<DeclaredKey> keys = declarations({}).keys;
  sort_by_section(keys);
  return keys;
}

std::vector<DeclaredKey> declared_keys(const std::function<void(SettingsVisitor&)>& describe) {
  Declarations all;
  describe(all);
  return all.keys;
}

std::string unknown_key(const std::string& key, const std::vector<DeclaredKey>& known,
                        const std::string& topic) {
  std::vector<std::string> names;
  for (const DeclaredKey& declared : known) names.push_back(declared.name);
  const std::string nearest = nearest_name(key, names);
  return fmt::format("unknown key '{}'; {}", key,
                     nearest.empty() ? fmt::format("'orthospike help {}' lists the known ones", topic)
                                     : fmt::format("the nearest known one is '{}'", nearest));
}

std::map<std::string, std::string> values_of(const std::vector<Setting>& settings) {
  std::map<std::string, std::string> values, places;
  for (const Setting& setting : settings) {
    const auto [earlier, is_new] = places.emplace(setting.key, setting.place);
    if (!is_new) {
      throw ConfigError(fmt::format("{}: key '{}' is given twice, first in {}", setting.place, setting.key,
                                    earlier->second));
    }
    values[setting.key] = setting.value;
  }
  return values;
}

std::vector<Setting> command_line_settings(const std::vector<std::string>& words) {
  const std::string place = "command line";
  std::vector<Setting> settings;
  for (auto word = words.begin(); word != words.end(); ++word) {
    if (!word->starts_with("--")) {
      throw ConfigError(
          fmt::format("{}: unexpected word '{}'; options have the form --section.key=value", place, *word));
    }
    const std::size_t equals = word->find('=');
    Setting& setting = settings.emplace_back(Setting{word->substr(2, equals - 2), "", place});
    if (equals != std::string::npos) {
      setting.value = word->substr(equals + 1);
    } else if (word + 1 != words.end() && !word[1].starts_with("--")) {
      setting.value = *++word;
    } else {
      const std::vector<DeclaredKey> known = declared_keys();
      if (find_key(known, setting.key) == nullptr)
        throw ConfigError(fmt::format("{}: {}", place, unknown_key(setting.key, known)));
      throw ConfigError(fmt::format("{}: key '{}' has no value", place, setting.key));
    }
  }
  return settings;
}

Config read_config(const std::filesystem::path& file, const std::vector<std::string>& arguments) {
  return read_config_with(file, command_line_settings(arguments));
}

Config read_config_with(const std::filesystem::path& file, const std::vector<Setting>& more) {
  Config config;
  std::vector<Setting> settings;
  if (!file.empty()) {
    std::ifstream stream(file);
    if (!stream || std::filesystem::is_directory(file))
      throw ConfigError(fmt::format("{}: the config file cannot be read", file.string()));
    settings = read_ini(stream, file.string());
    read_settings(values_of(settings), settings, config);
  }
  return with_more(config, settings, more);
}

Config read_config_of_run(const std::string& text, const std::string& name,
                          const std::vector<std::string>& arguments, bool recorded) {
  Config config;
  std::vector<Setting> settings;
  try {
    std::istringstream stream(text);
    settings = read_ini(stream, name);
    read_settings(values_of(settings), settings, config);
  } catch (const ConfigError& error) {
    throw EnvironmentError(error.what());
  }
  const std::vector<Setting> given = command_line_settings(arguments);
  Declarations of_tasks, all;
  Config().describe_tasks(of_tasks);
  if (recorded) Config().record.describe(of_tasks);
  Config().describe(all);
  for (const Setting& setting : given) {
    if (find_key(of_tasks.keys, setting.key) == nullptr && find_key(all.keys, setting.key) != nullptr) {
      throw ConfigError(
          fmt::format("{}: {}: it is the run's own; only keys of the tasks{} and of the device can be given",
                      setting.place, setting.key, recorded ? ", of the recording" : ""));
    }
  }
  return with_more(config, settings, given);
}

std::string with_place(const Config& config, const std::string& sentence) {
  const auto place = config.places.find(sentence.substr(0, sentence.find(':')));
  return place == config.places.end() ? sentence : fmt::format("{}: {}", place->second, sentence);
}

std::string config_text(const Config& config) {
  std::string text, section;
  for (const Value& value : current_values(config)) {
    if (section_of(value.name) != section) {
      text += section.empty() ? "" : "\n";
      section = section_of(value.name);
      text += fmt::format("[{}]\n", section);
    }
    text += fmt::format("{} = {}\n", value.name.substr(section.size() + 1), ini_value(value.text));
  }
  return text;
}

std::map<std::string, std::string> values_by_key(const std::string& text, const std::string& name) {
  std::istringstream stream(text);
  std::map<std::string, std::string> values;
  for (const Setting& setting : read_ini(stream, name)) values[setting.key] = setting.value;
  return values;
}

std::string differences(const std::map<std::string, std::string>& values, const Config& config) {
  const auto is_of_run = [](const std::string& key) { return section_of(key) == "run"; };
  const char* const not_read = "(not read)";
  const std::vector<Value> own = current_values(config);
  std::vector<std::string> found;
  for (const auto& [key, text] : own) {
    const auto other = values.find(key);
    if (is_of_run(key) || (other != values.end() && other->second == text)) continue;
    found.push_back(fmt::format("{} {} → {}", key, other == values.end() ? not_read : other->second, text));
  }
  for (const auto& [key, text] : values) {
    if (!is_of_run(key) && std::ranges::find(own, key, &Value::name) == own.end())
      found.push_back(fmt::format("{} {} → {}", key, text, not_read));
  }
  return fmt::format("{}", fmt::join(found, ", "));
}

std::string nearest_name(const std::string& name, const std::vector<std::string>& names) {
  const std::size_t near = std::max<std::size_t>(1, name.size() / 4);
  const auto edits = [&](const std::string& other) {
    if (std::max(name.size(), other.size()) - std::min(name.size(), other.size()) > near) return near + 1;
    // Of the beginnings of both: insertions, deletions, substitutions and exchanges of neighbours.
    std::vector<std::vector<std::size_t>> of(name.size() + 1, std::vector<std::size_t>(other.size() + 1));
    for (std::size_t i = 0; i <= name.size(); ++i) {
      for (std::size_t j = 0; j <= other.size(); ++j) {
        if (i == 0 || j == 0) {
          of[i][j] = i + j;
          continue;
        }
        const std::size_t substitution = name[i - 1] == other[j - 1] ? 0 : 1;
        of[i][j] = std::min({of[i - 1][j] + 1, of[i][j - 1] + 1, of[i - 1][j - 1] + substitution});
        if (i > 1 && j > 1 && name[i - 1] == other[j - 2] && name[i - 2] == other[j - 1])
          of[i][j] = std::min(of[i][j], of[i - 2][j - 2] + 1);
      }
    }
    return of[name.size()][other.size()];
  };
  const auto nearest = std::ranges::min_element(names, {}, edits);
  return nearest == names.end() || edits(*nearest) > near ? "" : *nearest;
}

}  // namespace orthospike
