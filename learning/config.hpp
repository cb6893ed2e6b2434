#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace orthospike {

/// Every setting of an experiment, by the name it has in a config file: section.key is config.section.key.
/// Defaults are the published permuted-MNIST settings. config.cpp holds the table of keys with types and
/// meanings.
struct Config {
  struct {
    std::string name = "experiment";
    std::uint64_t seed = 2022;
  } experiment;
  struct {
    std::string device = "auto";
    int threads = 0;
  } run;
  struct {
    std::string name = "mnist";
    std::string path;
    float mean = 0.1307F;
    float deviation = 0.3081F;
  } data;
  struct {
    std::string sequence = "permuted";
    std::size_t count = 10;
    std::size_t train_samples = 0;
    std::size_t test_samples = 0;
    std::size_t held_back_samples = 0;
    std::string held_back = "stratified";
    std::size_t epochs = 1;
    std::string boundaries = "known";
    float mixing = 0.0F;
  } tasks;
  struct {
    std::size_t neurons = 32;
    float lambda = 0.1F;
    std::size_t smoothing = 4;
    float threshold = 6.0F;
    std::size_t distance = 20;
  } boundaries;
  struct {
    std::size_t batch_size = 64;
  } training;
  struct {
    std::vector<std::size_t> hidden = {800, 800};
    std::string delivery = "auto";
    float dense_crossover = 0.3F;
    bool recurrent = false;
    float readout_tau = 0.0F;
  } network;
  struct {
    std::string model = "lif_dsr";
    std::size_t steps = 20;
    float dt = 0.05F;
    float tau = 1.0F;
    float threshold = 0.3F;
    float lowest_threshold = 0.0005F;
    float firing_fraction = 0.3F;
    std::string reset = "soft";
    float synapse_tau = 0.0F;
    float adaptation = 0.1F;
    float adaptation_tau = 20.0F;
  } neuron;
  struct {
    std::string name = "dsr";
    std::string surrogate = "sigmoid";
    float slope = 4.0F;
    bool detached_reset = true;
    std::string update = "sequence";
    std::string stdp = "pair";
    float stdp_tau_plus = 0.84F;
    float stdp_tau_minus = 1.685F;
    float stdp_a_plus = 0.001F;
    float stdp_a_minus = 0.001F;
    float stdp_tau_x = 47.3F;
    float stdp_tau_y = 2.0F;
    float stdp_a3_plus = 0.0001F;
    float stdp_a3_minus = 0.0F;
    std::string modulation = "reward";
    float eligibility_tau = 50.0F;
  } rule;
  struct {
    std::string name = "backprop";
  } feedback;
  struct {
    std::string name = "hlop";
  } protection;
  struct {
    std::string extractor = "lateral_hebbian";
    std::string ranks = "80,200,100; 70; 70; 50; 50; 50; 30; 30; 30; 10";
    std::string lateral_neurons = "linear";
    float lateral_scale = 20;
    std::size_t lateral_steps = 40;
    bool orthonormalise = false;
  } hlop;
  struct {
    std::vector<float> learning_rate = {0.001F, 0.01F, 0.01F};
    std::size_t iterations = 5;
    float momentum = 0.9F;
    float clamp = 10.0F;
  } hebbian;
  struct {
    float lambda = 0.3F;
    std::string form = "exact";
    float learning_rate = 0.0F;
    std::string lateral_neurons = "linear";
    float tolerance = 0.01F;
    float spike_height = 0.02F;
    std::size_t sweeps = 10;
    std::string consolidation = "boundaries";
    std::size_t fast_updates = 20;
    std::size_t slow_updates = 1000;
    std::size_t refresh = 50;
    std::size_t neurons = 2000;
    float unexplained = 0.05F;
    std::size_t growth = 20;
    std::size_t growth_batches = 20;
  } leaky;
  struct {
    std::vector<float> threshold = {0.95F, 0.99F, 0.99F};
  } gpm;
  struct {
    float alpha = 1.0F;
  } owm;
  struct {
    std::size_t samples_per_class = 50;
    std::string selection = "reservoir";
    std::size_t epochs = 1;
    std::size_t batch_size = 50;
    float learning_rate = 0.01F;
  } replay;
  struct {
    std::string name = "sgd";
    float learning_rate = 0.1F;
    float momentum = 0.0F;
    float beta1 = 0.9F;
    float beta2 = 0.999F;
    float epsilon = 1e-8F;
    float weight_decay = 0.0F;
    std::string schedule = "constant";
    float step_factor = 0.1F;
    std::size_t step_epochs = 1;
    float warm_up_epochs = 0.0F;
  } optimiser;
  struct {
    std::size_t quality_samples = 1000;
    std::string tested_tasks = "all";
  } metrics;

  /// Of the keys that were given, where (FILE:LINE or "command line"), for messages. No setting.
  std::map<std::string, std::string> places;
};

/// One line of `help config`.
struct ConfigKey {
  std::string name;  ///< section.key
  std::string type;  ///< with the range of values
  std::string unit;  ///< "-" where there is none
  std::string meaning;
  std::function<void(Config&, const std::string& value)>
      set;                                        ///< throws ConfigError naming the key and the value
  std::function<std::string(const Config&)> get;  ///< text that `set` reads back to the same value
};

/// All keys, sections together, in the order of struct Config.
const std::vector<ConfigKey>& config_keys();

/// Reads an INI file (empty path: none) as read_ini does and then command-line arguments of the form
/// --section.key=value or --section.key value, which win. Throws ConfigError for an unknown key, a value out of range, a
/// key given twice or a word that is no option, each with its place, and when the file cannot be read.
Config read_config(const std::filesystem::path& file, const std::vector<std::string>& arguments);

/// A sentence about a key that it begins with, `section.key: …`, with the place where that key was given in front.
std::string with_place(const Config& config, const std::string& sentence);

/// Throws ConfigError for the first of `keys` that has another value than its default: `reader`, a choice of
/// the config in words, would ignore it.
void refuse_unread(const Config& config, const std::string& reader, const std::vector<std::string>& keys);

/// The whole config as an INI file, defaults written out; read_config gives the same config back.
std::string config_text(const Config& config);

/// The values in a text that config_text wrote, in this or another version. Throws ConfigError with `name`, which stands
/// for the text, and a line where it is damaged.
std::map<std::string, std::string> values_by_key(const std::string& text, const std::string& name);

/// The first key that has another value in `config` than in `values` or is known to one of them only, as words:
/// "tasks.count is '3' there and '2' here"; empty when there is none. Section run is left out: it is for the machine.
std::string first_difference(const Config& config, const std::map<std::string, std::string>& values);

/// hlop.ranks for `tasks` tasks and `projections` projections: entries for tasks are separated by ';', in an
/// entry either one rank for all projections or one a projection, separated by ','; the last entry holds for
/// all later tasks. Throws ConfigError.
std::vector<std::vector<std::size_t>> parse_ranks(const std::string& text, std::size_t tasks,
                                                  std::size_t projections);

/// The name among `names` that is fewest edits from `name` (one character, or an exchange of two neighbours); empty when
/// that is more than one edit for every four characters.
std::string nearest_name(const std::string& name, const std::vector<std::string>& names);

}  // namespace orthospike
