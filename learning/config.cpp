#include "learning/config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/algorithm/string.hpp>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>

#include "kernels/error.hpp"
#include "learning/ini.hpp"

namespace orthospike {

namespace {

/// What each type of value accepts, shown in help and in errors.
constexpr std::size_t any = std::numeric_limits<std::size_t>::max();

[[noreturn]] void refuse(const std::string& key, const std::string& value, const std::string& expected) {
  throw ConfigError(fmt::format("{}: '{}' is not {}", key, value, expected));
}

template <class Number>
bool parse_number(std::string text, Number& number) {
  boost::trim(text);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

template <class Access>
ConfigKey text_key(std::string name, std::string meaning, Access access) {
  return {name,
          "text",
          "-",
          std::move(meaning),
          [access](Config& c, const std::string& value) { access(c) = value; },
          [access](const Config& c) { return access(c); }};
}

template <class Access>
ConfigKey integer_key(std::string name, std::size_t lowest, std::size_t highest, std::string unit,
                      std::string meaning, Access access) {
  const std::string type = highest == any ? fmt::format("an integer >= {}", lowest)
                                          : fmt::format("an integer from {} to {}", lowest, highest);
  return {name,
          type,
          std::move(unit),
          std::move(meaning),
          [=](Config& c, const std::string& value) {
            std::size_t number = 0;
            if (!parse_number(value, number) || number < lowest || number > highest)
              refuse(name, value, type);
            access(c) = static_cast<std::remove_reference_t<decltype(access(c))>>(number);
          },
          [access](const Config& c) { return fmt::format("{}", access(c)); }};
}

/// Bounds of a real number: [lowest, highest], without the lowest when `open`.
struct Bounds {
  float lowest;
  float highest;
  bool open;

  bool hold(float number) const {
    return std::isfinite(number) && (open ? number > lowest : number >= lowest) && number <= highest;
  }
  std::string text() const {
    const std::string above = fmt::format("a number {} {}", open ? ">" : ">=", lowest);
    return highest == std::numeric_limits<float>::max() ? above : fmt::format("{} and <= {}", above, highest);
  }
};

constexpr float unbounded = std::numeric_limits<float>::max();
constexpr Bounds positive{0, unbounded, true};
constexpr Bounds not_negative{0, unbounded, false};
constexpr Bounds any_number{-unbounded, unbounded, false};
constexpr Bounds fraction{0, 1, false};
constexpr Bounds below_one{0, 0.9999F, false};

template <class Access>
ConfigKey real_key(std::string name, Bounds bounds, std::string unit, std::string meaning, Access access) {
  return {name,
          bounds.lowest == -unbounded ? "a number" : bounds.text(),
          std::move(unit),
          std::move(meaning),
          [=](Config& c, const std::string& value) {
            float number = 0;
            if (!parse_number(value, number) || !bounds.hold(number)) {
              refuse(name, value, bounds.lowest == -unbounded ? "a number" : bounds.text());
            }
            access(c) = number;
          },
          [access](const Config& c) { return fmt::format("{}", access(c)); }};
}

template <class Access>
ConfigKey flag_key(std::string name, std::string meaning, Access access) {
  return {name,
          "true or false",
          "-",
          std::move(meaning),
          [=](Config& c, const std::string& value) {
            if (value != "true" && value != "false") refuse(name, value, "true or false");
            access(c) = value == "true";
          },
          [access](const Config& c) { return access(c) ? "true" : "false"; }};
}

/// Whether numbers were perhaps meant with decimal commas, as 0,001: nothing but digits and commas. 0, 1 and 0.0,1 are
/// lists without doubt.
bool has_decimal_comma(const std::string& value) {
  return value.find(',') != std::string::npos && value.find_first_not_of("0123456789,") == std::string::npos;
}

/// A comma-separated list, at least one number.
template <class Number, class Access, class Accept>
ConfigKey list_key(std::string name, std::string type, std::string unit, std::string meaning, Access access,
                   Accept accept) {
  return {name,
          type,
          std::move(unit),
          std::move(meaning),
          [=](Config& c, const std::string& value) {
            if (std::is_floating_point_v<Number> && has_decimal_comma(value)) {
              throw ConfigError(
                  fmt::format("{}: '{}' looks like a number with a decimal comma; write 0.5 for a half and "
                              "'0, 5' with a blank for two numbers",
                              name, value));
            }
            std::vector<std::string> parts;
            boost::split(parts, value, boost::is_any_of(","));
            std::vector<Number> numbers(parts.size());
            for (std::size_t i = 0; i < parts.size(); ++i) {
              if (!parse_number(parts[i], numbers[i]) || !accept(numbers[i])) refuse(name, value, type);
            }
            access(c) = numbers;
          },
          [access](const Config& c) {
            const std::string text = fmt::format("{}", fmt::join(access(c), ","));
            return has_decimal_comma(text) ? fmt::format("{}", fmt::join(access(c), ", ")) : text;
          }};
}

std::string section_of(const std::string& name) {
  return name.substr(0, name.find('.'));
}

const ConfigKey* find_key(const std::string& name) {
  const auto found = std::ranges::find(config_keys(), name, &ConfigKey::name);
  return found == config_keys().end() ? nullptr : &*found;
}

[[noreturn]] void refuse_unknown(const Setting& setting) {
  std::vector<std::string> names;
  for (const ConfigKey& key : config_keys()) names.push_back(key.name);
  const std::string nearest = nearest_name(setting.key, names);
  throw ConfigError(fmt::format("{}: unknown key '{}'; {}", setting.place, setting.key,
                                nearest.empty() ? "'orthospike help config' lists the known ones"
                                                : fmt::format("the nearest known one is '{}'", nearest)));
}

/// Options of the form --section.key=value or --section.key value. Throws ConfigError for other words.
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
      if (find_key(setting.key) == nullptr) refuse_unknown(setting);
      throw ConfigError(fmt::format("{}: key '{}' has no value", place, setting.key));
    }
  }
  return settings;
}

/// Later settings of the same key are refused.
void apply_settings(const std::vector<Setting>& settings, Config& config) {
  std::map<std::string, std::string> seen;
  for (const Setting& setting : settings) {
    const ConfigKey* key = find_key(setting.key);
    if (key == nullptr) refuse_unknown(setting);
    const auto [earlier, is_new] = seen.emplace(setting.key, setting.place);
    if (!is_new) {
      throw ConfigError(fmt::format("{}: key '{}' is given twice, first in {}", setting.place, setting.key,
                                    earlier->second));
    }
    config.places[setting.key] = setting.place;
    try {
      if (!is_line_of_text(setting.value))
        throw ConfigError(setting.key + ": the value is not one line of UTF-8 text");
      key->set(config, setting.value);
    } catch (const ConfigError& error) {
      throw ConfigError(with_place(config, error.what()));
    }
  }
}

}  // namespace

const std::vector<ConfigKey>& config_keys() {
  static const std::vector<ConfigKey> keys = {
      text_key(
          "experiment.name", "Name of the experiment, for people and reports.",
          [](auto& c) -> auto& { return c.experiment.name; }),
      integer_key(
          "experiment.seed", 0, any, "-",
          "Seed of every random number: weights, subspaces, pixel orders and sample orders.",
          [](auto& c) -> auto& { return c.experiment.seed; }),
      text_key(
          "run.device",
          "Where to compute: auto (a GPU when there is one), cuda, cuda:N (the GPU of that number), cpu or "
          "reference (slow, for comparisons).",
          [](auto& c) -> auto& { return c.run.device; }),
      integer_key(
          "run.threads", 0, 1024, "threads",
          "Most threads that the cpu device may use; 0: one for each processor the process may use. Fewer "
          "run while "
          "other programs keep the processors busy. Results do not depend on it.",
          [](auto& c) -> auto& { return c.run.threads; }),
      text_key(
          "data.name", "Data set to look for: a folder of IDX files such as mnist or fashion-mnist.",
          [](auto& c) -> auto& { return c.data.name; }),
      text_key(
          "data.path",
          "Folder that holds the data set or its IDX files, ~/… in the home folder; empty searches "
          "ORTHOSPIKE_DATA, ~/.local/share/orthospike and /usr/share/datasets.",
          [](auto& c) -> auto& { return c.data.path; }),
      real_key(
          "data.mean", any_number, "-", "Mean pixel that is subtracted, of pixels scaled to 0 … 1.",
          [](auto& c) -> auto& { return c.data.mean; }),
      real_key(
          "data.deviation", positive, "-", "Standard deviation that pixels are divided by.",
          [](auto& c) -> auto& { return c.data.deviation; }),
      text_key(
          "tasks.sequence",
          "How tasks differ: permuted (every task shows the pixels in an order of its own).",
          [](auto& c) -> auto& { return c.tasks.sequence; }),
      integer_key(
          "tasks.count", 1, 10000, "tasks", "Number of tasks.",
          [](auto& c) -> auto& { return c.tasks.count; }),
      integer_key(
          "tasks.train_samples", 0, any, "samples", "First so many training samples; 0 uses all.",
          [](auto& c) -> auto& { return c.tasks.train_samples; }),
      integer_key(
          "tasks.test_samples", 0, any, "samples", "First so many test samples; 0 uses all.",
          [](auto& c) -> auto& { return c.tasks.test_samples; }),
      integer_key(
          "tasks.held_back_samples", 0, any, "samples",
          "Test on so many training samples instead of the test set, and do not train on them: to choose "
          "settings.",
          [](auto& c) -> auto& { return c.tasks.held_back_samples; }),
      text_key(
          "tasks.held_back",
          "Which these are: stratified (drawn by the seed, of each class in proportion to its share) or last "
          "(of the data set).",
          [](auto& c) -> auto& { return c.tasks.held_back; }),
      integer_key(
          "tasks.epochs", 1, any, "epochs", "Passes over the training samples of each task.",
          [](auto& c) -> auto& { return c.tasks.epochs; }),
      text_key(
          "tasks.boundaries",
          "Whether training is told where tasks end: known, or hidden (boundaries are detected as the "
          "section "
          "boundaries says).",
          [](auto& c) -> auto& { return c.tasks.boundaries; }),
      real_key(
          "tasks.mixing", fraction, "-",
          "Share of a task around each boundary in which samples of both tasks mix: the probability that one "
          "is of the next task rises in a line from 0 to 1. Each task keeps its number of samples.",
          [](auto& c) -> auto& { return c.tasks.mixing; }),
      integer_key(
          "boundaries.neurons", 1, 4096, "neurons",
          "Random directions of the input through which hidden boundaries are detected.",
          [](auto& c) -> auto& { return c.boundaries.neurons; }),
      real_key(
          "boundaries.lambda", positive, "-",
          "Energy of a direction in the task so far at which half of what a batch has along it is residual; "
          "the "
          "mean direction has energy 1.",
          [](auto& c) -> auto& { return c.boundaries.lambda; }),
      integer_key(
          "boundaries.smoothing", 1, 100000, "updates",
          "Time constant of the fast average of the residual: the longer, the slower changes it finds.",
          [](auto& c) -> auto& { return c.boundaries.smoothing; }),
      real_key(
          "boundaries.threshold", positive, "-",
          "Standard deviations of that average by which it must exceed what the task had so far.",
          [](auto& c) -> auto& { return c.boundaries.threshold; }),
      integer_key(
          "boundaries.distance", 4, any, "updates", "Fewest updates between two detected boundaries.",
          [](auto& c) -> auto& { return c.boundaries.distance; }),
      integer_key(
          "training.batch_size", 1, 65536, "samples", "Samples of one weight update.",
          [](auto& c) -> auto& { return c.training.batch_size; }),
      list_key<std::size_t>(
          "network.hidden", "integers from 1 to 65536, separated by commas", "neurons",
          "Sizes of the hidden populations from input to read-out.",
          [](auto& c) -> auto& { return c.network.hidden; },
          [](std::size_t size) { return size >= 1 && size <= 65536; }),
      text_key(
          "network.delivery",
          "How spikes are delivered: auto (by measured density), events, or dense (matrix product).",
          [](auto& c) -> auto& { return c.network.delivery; }),
      real_key(
          "network.dense_crossover", fraction, "-",
          "Share of a dense product's additions above which automatic delivery takes that product: the share "
          "of active neurons, or less where neurons of a sample fire alike.",
          [](auto& c) -> auto& { return c.network.dense_crossover; }),
      flag_key(
          "network.recurrent", "Give each hidden population a projection onto itself.",
          [](auto& c) -> auto& { return c.network.recurrent; }),
      real_key(
          "network.readout_tau", not_negative, "unit of dt",
          "Time constant of a leaky read-out; 0 for one that follows its current. Logits are its mean over "
          "time.",
          [](auto& c) -> auto& { return c.network.readout_tau; }),
      text_key(
          "neuron.model",
          "Neuron model of the hidden populations: lif_dsr (of the rule dsr), lif (decay 1 - dt/tau), if (no "
          "leak) or alif (lif whose threshold adapts).",
          [](auto& c) -> auto& { return c.neuron.model; }),
      integer_key(
          "neuron.steps", 1, 100000, "steps", "Time steps T of one sample.",
          [](auto& c) -> auto& { return c.neuron.steps; }),
      real_key(
          "neuron.dt", positive, "unit of tau", "Length of a step.",
          [](auto& c) -> auto& { return c.neuron.dt; }),
      real_key(
          "neuron.tau", positive, "unit of dt", "Membrane time constant.",
          [](auto& c) -> auto& { return c.neuron.tau; }),
      real_key(
          "neuron.threshold", positive, "potential",
          "Firing threshold before training, which a spike takes off the membrane. A spike carries "
          "threshold/dt "
          "with lif_dsr, 1 with others.",
          [](auto& c) -> auto& { return c.neuron.threshold; }),
      real_key(
          "neuron.lowest_threshold", positive, "potential", "Floor under the trained thresholds.",
          [](auto& c) -> auto& { return c.neuron.lowest_threshold; }),
      real_key(
          "neuron.firing_fraction", {0, 1, true}, "-",
          "A spike starts at this part of the threshold (alpha of DSR).",
          [](auto& c) -> auto& { return c.neuron.firing_fraction; }),
      text_key(
          "neuron.reset",
          "What a spike does to the potential of lif, if and alif: soft (takes the threshold off) or hard "
          "(to "
          "0).",
          [](auto& c) -> auto& { return c.neuron.reset; }),
      real_key(
          "neuron.synapse_tau", not_negative, "unit of dt",
          "Time constant of synaptic currents of lif, if and alif; 0 puts spikes on the membrane at once.",
          [](auto& c) -> auto& { return c.neuron.synapse_tau; }),
      real_key(
          "neuron.adaptation", not_negative, "potential", "By how much a spike raises the threshold of alif.",
          [](auto& c) -> auto& { return c.neuron.adaptation; }),
      real_key(
          "neuron.adaptation_tau", positive, "unit of dt", "Time constant at which that decays.",
          [](auto& c) -> auto& { return c.neuron.adaptation_tau; }),
      text_key(
          "rule.name",
          "Training rule: dsr (spike representation), bptt (surrogate derivatives through time), ottt "
          "(online "
          "through time), eprop (eligibility traces), decolle (local losses of each population), stdp "
          "(spike-timing-dependent plasticity under a trained read-out) or rstdp (the same, modulated by "
          "rewards "
          "or errors).",
          [](auto& c) -> auto& { return c.rule.name; }),
      text_key(
          "rule.surrogate",
          "Derivative of a spike in bptt, ottt, eprop and decolle: sigmoid, arctan, fast_sigmoid or "
          "triangle.",
          [](auto& c) -> auto& { return c.rule.surrogate; }),
      real_key(
          "rule.slope", positive, "1/potential", "Steepness of the surrogate: the larger, the narrower.",
          [](auto& c) -> auto& { return c.rule.slope; }),
      flag_key(
          "rule.detached_reset", "Leave the reset out of the derivative of bptt.",
          [](auto& c) -> auto& { return c.rule.detached_reset; }),
      text_key(
          "rule.update",
          "When weights change: after the whole sequence of steps, or after every step (ottt; decolle "
          "without "
          "adaptation; eprop without adaptation and without a leak of the read-out).",
          [](auto& c) -> auto& { return c.rule.update; }),
      text_key(
          "rule.stdp",
          "Which spikes stdp and rstdp pair: pair (each presynaptic with each postsynaptic one) or triplet "
          "(these, and those with a second spike of either side). Default time constants are those of "
          "hippocampal pairings in Pfister & Gerstner (2006), with 20 ms as 1; their amplitudes are for "
          "fewer "
          "spikes.",
          [](auto& c) -> auto& { return c.rule.stdp; }),
      real_key(
          "rule.stdp_tau_plus", positive, "unit of dt",
          "Time constant of the presynaptic trace, which postsynaptic spikes potentiate by.",
          [](auto& c) -> auto& { return c.rule.stdp_tau_plus; }),
      real_key(
          "rule.stdp_tau_minus", positive, "unit of dt",
          "Time constant of the postsynaptic trace, which presynaptic spikes depress by.",
          [](auto& c) -> auto& { return c.rule.stdp_tau_minus; }),
      real_key(
          "rule.stdp_a_plus", not_negative, "-",
          "Potentiation of a pair at lag 0, times the learning rate; mean over the samples of a batch.",
          [](auto& c) -> auto& { return c.rule.stdp_a_plus; }),
      real_key(
          "rule.stdp_a_minus", not_negative, "-", "The same of depression.",
          [](auto& c) -> auto& { return c.rule.stdp_a_minus; }),
      real_key(
          "rule.stdp_tau_x", positive, "unit of dt",
          "Time constant of the slow presynaptic trace of triplets.",
          [](auto& c) -> auto& { return c.rule.stdp_tau_x; }),
      real_key(
          "rule.stdp_tau_y", positive, "unit of dt",
          "Time constant of the slow postsynaptic trace of triplets.",
          [](auto& c) -> auto& { return c.rule.stdp_tau_y; }),
      real_key(
          "rule.stdp_a3_plus", not_negative, "-", "Potentiation of a triplet at lags 0.",
          [](auto& c) -> auto& { return c.rule.stdp_a3_plus; }),
      real_key(
          "rule.stdp_a3_minus", not_negative, "-", "The same of depression.",
          [](auto& c) -> auto& { return c.rule.stdp_a3_minus; }),
      text_key(
          "rule.modulation",
          "What multiplies the eligibilities of rstdp: reward (of the sample, 1 when right and -1 when "
          "wrong, "
          "less the mean of the batch, so nothing is learned from batches of 1) or error (of the neuron, as "
          "the feedback brings it).",
          [](auto& c) -> auto& { return c.rule.modulation; }),
      real_key(
          "rule.eligibility_tau", positive, "unit of dt",
          "Time constant at which eligibilities of rstdp decay until the sample ends (1 s in Izhikevich, "
          "2007).",
          [](auto& c) -> auto& { return c.rule.eligibility_tau; }),
      text_key(
          "feedback.name",
          "How errors travel back: backprop, feedback_alignment (fixed random weights), sign_symmetric "
          "(signs "
          "of the weights), direct_feedback_alignment (random weights from the read-out to each "
          "population) or adaptive_broadcast (the same, but they learn as the read-out does, by the same "
          "optimiser; weight decay brings them closer to it).",
          [](auto& c) -> auto& { return c.feedback.name; }),
      text_key(
          "protection.name",
          "Protection of earlier tasks: none, hlop (learned subspaces are removed from changes), leaky (each "
          "direction is weakened by its use), leaky_lowrank (the same with few lateral neurons), gpm (exact "
          "components are removed), owm (recursive least "
          "squares), each also with stored samples (replay, hlop+replay ...), or joint (all tasks learned at "
          "once: the upper bound).",
          [](auto& c) -> auto& { return c.protection.name; }),
      text_key(
          "hlop.extractor", "How subspaces are learned: lateral_hebbian.",
          [](auto& c) -> auto& { return c.hlop.extractor; }),
      text_key(
          "hlop.ranks",
          "New subspace neurons: an entry a task separated by ';', in it one number for all projections or "
          "one "
          "each separated by ','; the last entry holds for later tasks. Capped at the presynaptic size.",
          [](auto& c) -> auto& { return c.hlop.ranks; }),
      text_key(
          "hlop.lateral_neurons",
          "How subspace neurons respond to presynaptic traces: linear, quantised (as T_l spiking steps can "
          "express) or spiking.",
          [](auto& c) -> auto& { return c.hlop.lateral_neurons; }),
      real_key(
          "hlop.lateral_scale", positive, "-",
          "Largest response of a quantised or spiking subspace neuron: it spikes in every lateral step.",
          [](auto& c) -> auto& { return c.hlop.lateral_scale; }),
      integer_key(
          "hlop.lateral_steps", 1, 100000, "steps",
          "Lateral steps T_l of one sample; a spike carries lateral_scale / lateral_steps.",
          [](auto& c) -> auto& { return c.hlop.lateral_steps; }),
      flag_key(
          "hlop.orthonormalise", "Make the learned rows of a subspace orthonormal at the end of each task.",
          [](auto& c) -> auto& { return c.hlop.orthonormalise; }),
      list_key<float>(
          "hebbian.learning_rate", "numbers >= 0, separated by commas", "-",
          "Rate of the lateral Hebbian step, one a projection; the last holds for the rest.",
          [](auto& c) -> auto& { return c.hebbian.learning_rate; },
          [](float rate) { return not_negative.hold(rate); }),
      integer_key(
          "hebbian.iterations", 1, 1000, "steps", "Hebbian steps on each batch.",
          [](auto& c) -> auto& { return c.hebbian.iterations; }),
      real_key(
          "hebbian.momentum", fraction, "-", "Part of the Hebbian velocity kept in each step.",
          [](auto& c) -> auto& { return c.hebbian.momentum; }),
      real_key(
          "hebbian.clamp", positive, "-", "Bound on each entry of the Hebbian change before momentum.",
          [](auto& c) -> auto& { return c.hebbian.clamp; }),
      real_key(
          "leaky.lambda", positive, "-",
          "Energy of a direction in earlier tasks at which changes along it are halved; a task has energy 1 "
          "in its mean direction.",
          [](auto& c) -> auto& { return c.leaky.lambda; }),
      text_key(
          "leaky.form",
          "How leaky weakens directions: exact (an operator computed at the end of each task) or circuit "
          "(learned lateral weights under which traces settle).",
          [](auto& c) -> auto& { return c.leaky.form; }),
      real_key(
          "leaky.learning_rate", fraction, "1/batch",
          "Rate of the circuit's lateral weights once a task has had more than 1/rate batches; before, and "
          "with 0 always, they are the mean over the batches.",
          [](auto& c) -> auto& { return c.leaky.learning_rate; }),
      text_key(
          "leaky.lateral_neurons", "How neurons of the circuit inhibit each other: linear or spiking.",
          [](auto& c) -> auto& { return c.leaky.lateral_neurons; }),
      real_key(
          "leaky.tolerance", {0, 1, true}, "-",
          "Largest relative error that settling leaves along each eigenvector of the circuit of linear "
          "neurons.",
          [](auto& c) -> auto& { return c.leaky.tolerance; }),
      real_key(
          "leaky.spike_height", positive, "-",
          "Activity that one spike of a lateral neuron of the circuit stands for.",
          [](auto& c) -> auto& { return c.leaky.spike_height; }),
      integer_key(
          "leaky.sweeps", 1, 100000, "-",
          "How often each spiking neuron of the circuit may fire a burst while a trace settles; it ends "
          "earlier when all are silent.",
          [](auto& c) -> auto& { return c.leaky.sweeps; }),
      text_key(
          "leaky.consolidation",
          "When activity comes to protect: boundaries (at the end of its task) or slow (as it enters a slow "
          "average from a fast one; leaky.form exact only). slow needs no boundaries and detects none.",
          [](auto& c) -> auto& { return c.leaky.consolidation; }),
      integer_key(
          "leaky.fast_updates", 1, any, "batches",
          "Time constant of the fast average: how late a task's own activity comes to protect.",
          [](auto& c) -> auto& { return c.leaky.fast_updates; }),
      integer_key(
          "leaky.slow_updates", 1, any, "batches",
          "So many batches protect as much as a finished task does with boundaries.",
          [](auto& c) -> auto& { return c.leaky.slow_updates; }),
      integer_key(
          "leaky.refresh", 1, any, "batches",
          "Batches from one computation of the slow average and its operator to the next.",
          [](auto& c) -> auto& { return c.leaky.refresh; }),
      integer_key(
          "leaky.neurons", 1, any, "neurons",
          "Lateral neurons of leaky_lowrank that all projections share over all tasks.",
          [](auto& c) -> auto& { return c.leaky.neurons; }),
      real_key(
          "leaky.unexplained", fraction, "-",
          "leaky_lowrank adds lateral neurons to a projection while more than this part of its activity's "
          "energy is outside their span.",
          [](auto& c) -> auto& { return c.leaky.unexplained; }),
      integer_key(
          "leaky.growth", 1, any, "neurons", "So many are added to a projection at a time.",
          [](auto& c) -> auto& { return c.leaky.growth; }),
      integer_key(
          "leaky.growth_batches", 1, any, "batches", "So many batches lie between two additions.",
          [](auto& c) -> auto& { return c.leaky.growth_batches; }),
      list_key<float>(
          "gpm.threshold", "numbers >= 0 and <= 1, separated by commas", "-",
          "Part of a task's energy that the rows of gpm hold, one a projection; the last holds for the rest. "
          "Published for permuted MNIST: 0.95, 0.99 of later projections.",
          [](auto& c) -> auto& { return c.gpm.threshold; },
          [](float threshold) { return fraction.hold(threshold); }),
      real_key(
          "owm.alpha", positive, "-",
          "Energy of one batch's mean activity at which owm halves changes along it.",
          [](auto& c) -> auto& { return c.owm.alpha; }),
      integer_key(
          "replay.samples_per_class", 1, any, "samples",
          "Training samples of each class that are stored of each task; all when a class has fewer.",
          [](auto& c) -> auto& { return c.replay.samples_per_class; }),
      text_key(
          "replay.selection",
          "Which samples are stored: reservoir (at random) or first (those that come first in the data set).",
          [](auto& c) -> auto& { return c.replay.selection; }),
      integer_key(
          "replay.epochs", 1, any, "epochs",
          "Passes over the stored samples after each task from the second on.",
          [](auto& c) -> auto& { return c.replay.epochs; }),
      integer_key(
          "replay.batch_size", 1, 65536, "samples", "Stored samples of each task in one update of a replay.",
          [](auto& c) -> auto& { return c.replay.batch_size; }),
      real_key(
          "replay.learning_rate", not_negative, "-",
          "Learning rate of weights in a replay, for the gradients of all tasks summed.",
          [](auto& c) -> auto& { return c.replay.learning_rate; }),
      text_key(
          "optimiser.name",
          "Optimiser: sgd (with momentum when optimiser.momentum is above 0), adam, or adamw (adam whose "
          "weight decay is apart from the gradient).",
          [](auto& c) -> auto& { return c.optimiser.name; }),
      real_key(
          "optimiser.learning_rate", not_negative, "-",
          "Learning rate of weights and thresholds; the usual one of adam and adamw is 0.001.",
          [](auto& c) -> auto& { return c.optimiser.learning_rate; }),
      real_key(
          "optimiser.momentum", below_one, "-", "Part of the velocity that sgd keeps in each update.",
          [](auto& c) -> auto& { return c.optimiser.momentum; }),
      real_key(
          "optimiser.beta1", below_one, "-",
          "Part of the mean gradient that adam and adamw keep in each update.",
          [](auto& c) -> auto& { return c.optimiser.beta1; }),
      real_key(
          "optimiser.beta2", below_one, "-",
          "Part of the mean squared gradient that adam and adamw keep in each update.",
          [](auto& c) -> auto& { return c.optimiser.beta2; }),
      real_key(
          "optimiser.epsilon", positive, "-",
          "Added by adam and adamw to the root of the mean squared gradient that divides a step.",
          [](auto& c) -> auto& { return c.optimiser.epsilon; }),
      real_key(
          "optimiser.weight_decay", not_negative, "-",
          "This times the weights is added to their gradient (sgd, adam) or to what adamw multiplies with "
          "the "
          "learning rate. A protection keeps from decay what it keeps from learning; thresholds do not "
          "decay.",
          [](auto& c) -> auto& { return c.optimiser.weight_decay; }),
      text_key(
          "optimiser.schedule",
          "How the learning rate goes over a task, anew in each: constant, step (times step_factor every "
          "step_epochs) or cosine (to zero at the end of the task).",
          [](auto& c) -> auto& { return c.optimiser.schedule; }),
      real_key(
          "optimiser.step_factor", {0, 1, true}, "-", "Factor on the learning rate in the schedule step.",
          [](auto& c) -> auto& { return c.optimiser.step_factor; }),
      integer_key(
          "optimiser.step_epochs", 1, any, "epochs", "Epochs from step to step of the schedule step.",
          [](auto& c) -> auto& { return c.optimiser.step_epochs; }),
      real_key(
          "optimiser.warm_up_epochs", not_negative, "epochs",
          "The learning rate rises in a line over so many epochs (or a fraction) at the start of each task, "
          "with any schedule.",
          [](auto& c) -> auto& { return c.optimiser.warm_up_epochs; }),
      integer_key(
          "metrics.quality_samples", 0, 100000, "samples",
          "Training samples of each task whose activity is kept to measure subspaces and leaks; 0 measures "
          "none.",
          [](auto& c) -> auto& { return c.metrics.quality_samples; }),
      text_key(
          "metrics.tested_tasks",
          "Which tasks are tested after a task: all, learned (those so far, and the next for FWT) or current "
          "(it and the next, and after the last all; forgetting is unknown then). In sequences of 50, "
          "testing "
          "all takes longer than training.",
          [](auto& c) -> auto& { return c.metrics.tested_tasks; }),
  };
  return keys;
}

Config read_config(const std::filesystem::path& file, const std::vector<std::string>& arguments) {
  Config config;
  if (!file.empty()) {
    std::ifstream stream(file);
    if (!stream || std::filesystem::is_directory(file)) {
      throw ConfigError(fmt::format("{}: the config file cannot be read", file.string()));
    }
    apply_settings(read_ini(stream, file.string()), config);
  }
  apply_settings(command_line_settings(arguments), config);
  return config;
}

std::string with_place(const Config& config, const std::string& sentence) {
  const auto place = config.places.find(sentence.substr(0, sentence.find(':')));
  return place == config.places.end() ? sentence : fmt::format("{}: {}", place->second, sentence);
}

void refuse_unread(const Config& config, const std::string& reader, const std::vector<std::string>& keys) {
  for (const std::string& name : keys) {
    const ConfigKey& key = *find_key(name);
    if (key.get(config) != key.get(Config{})) {
      throw ConfigError(
          fmt::format("{}: {} does not read it; leave it at {}", name, reader, key.get(Config{})));
    }
  }
}

std::string config_text(const Config& config) {
  std::string text;
  std::string section;
  for (const ConfigKey& key : config_keys()) {
    if (section_of(key.name) != section) {
      text += section.empty() ? "" : "\n";
      section = section_of(key.name);
      text += fmt::format("[{}]\n", section);
    }
    text += fmt::format("{} = {}\n", key.name.substr(section.size() + 1), ini_value(key.get(config)));
  }
  return text;
}

std::map<std::string, std::string> values_by_key(const std::string& text, const std::string& name) {
  std::istringstream stream(text);
  std::map<std::string, std::string> values;
  for (const Setting& setting : read_ini(stream, name)) values[setting.key] = setting.value;
  return values;
}

std::string first_difference(const Config& config, const std::map<std::string, std::string>& values) {
  const auto is_of_run = [](const std::string& key) { return section_of(key) == "run"; };
  for (const ConfigKey& key : config_keys()) {
    const auto other = values.find(key.name);
    if (is_of_run(key.name) || (other != values.end() && other->second == key.get(config))) continue;
    const std::string there = other == values.end() ? "not known" : fmt::format("'{}'", other->second);
    return fmt::format("{} is {} there and '{}' here", key.name, there, key.get(config));
  }
  for (const auto& [key, value] : values) {
    if (!is_of_run(key) && find_key(key) == nullptr)
      return fmt::format("{} is '{}' there and not known here", key, value);
  }
  return "";
}

std::vector<std::vector<std::size_t>> parse_ranks(const std::string& text, std::size_t tasks,
                                                  std::size_t projections) {
  std::vector<std::string> entries;
  boost::split(entries, text, boost::is_any_of(";"));
  std::vector<std::vector<std::size_t>> ranks;
  for (const std::string& entry : entries) {
    std::vector<std::string> parts;
    boost::split(parts, entry, boost::is_any_of(","));
    std::vector<std::size_t>& row = ranks.emplace_back(parts.size());
    for (std::size_t p = 0; p < parts.size(); ++p) {
      if (!parse_number(parts[p], row[p]))
        refuse("hlop.ranks", text, "a list of ranks such as 80,200,100; 70; 50");
    }
    if (row.size() == 1) row.resize(projections, row.front());
    if (row.size() != projections) {
      throw ConfigError(fmt::format("hlop.ranks: entry '{}' has {} ranks; expected 1 or {}, one a projection",
                                    entry, row.size(), projections));
    }
  }
  ranks.resize(tasks, ranks.back());
  return ranks;
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
