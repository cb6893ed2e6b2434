#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "kernels/error.hpp"
#include "learning/nir/chain.hpp"
#include "learning/nir/maps.hpp"
#include "learning/nir/neurons.hpp"
#include "learning/nir/nir.hpp"
#include "learning/version.hpp"
#include "sim/neurons/lif_dsr_model.hpp"
#include "sim/neurons/lif_model.hpp"

namespace orthospike {

namespace {

/// The weight from which the product with the height of a spike gave `folded`, to one unit in the last place; the same
/// product again gives `folded`.
float unfold(float folded, float height) {
  const auto quotient = static_cast<float>(static_cast<double>(folded) / height);
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const float weight :
       {quotient, std::nextafter(quotient, infinity), std::nextafter(quotient, -infinity)}) {
    if (weight * height == folded) return weight;
  }
  return quotient;
}

/// Weights by the scale of what they lead to, where one is not 1 but for rounding.
void scale_outputs(std::vector<float>& weights, const std::optional<Window>& window,
                   const std::vector<double>& scales) {
  if (std::ranges::all_of(scales, [](double scale) { return near(scale, 1); })) return;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double scale = scales[channel_of_weight(window, scales.size(), i)];
    if (!near(scale, 1)) weights[i] = static_cast<float>(weights[i] * scale);
  }
}

/// Makes a config and a network of a graph.
class Importer {
 public:
  Importer(const NirGraph& graph, const std::vector<std::string>& arguments)
      : graph_(graph), chain_(graph), layers_(chain_.layers()), config_(initial_config(arguments)) {}

  ImportedNetwork import() {
    try {
      take_clock();
      take_input();
      take_layers();
      if (config_.neuron.name() == "lif_dsr") {
        take_dsr();
      } else {
        take_lif();
      }
      take_readout();
    } catch (const ConfigError& error) {
      throw EnvironmentError(fmt::format("{}: {}", place(), error.what()));
    }
    add_projections();
    take_origin();
    check_against_config(network_, config_, place());
    network_.config = config_text(config_);
    return {.network = std::move(network_), .assumptions = std::move(assumptions_)};
  }

 private:
  std::string place() const { return graph_.path.string(); }

  std::size_t hidden() const { return layers_.size() - 1; }

  template <class T>
  const std::vector<T>* metadata(const std::string& name) const {
    const auto found = graph_.metadata.find(name);
    return found == graph_.metadata.end() ? nullptr : std::get_if<std::vector<T>>(&found->second);
  }

  std::optional<std::string> metadata_text(const std::string& name) const {
    const auto* const found = metadata<std::string>(name);
    if (found == nullptr || found->size() != 1) return std::nullopt;
    return found->front();
  }

  std::optional<double> metadata_number(const std::string& name, double lowest, double highest) const {
    const auto* const found = metadata<double>(name);
    if (found == nullptr || found->size() != 1) return std::nullopt;
    if (!(found->front() >= lowest && found->front() <= highest))
      throw EnvironmentError(fmt::format("{}: /node/metadata/{} is {}, expected {} to {}", place(), name,
                                         found->front(), lowest, highest));
    return found->front();
  }

  void assume(const std::string& what) { assumptions_.push_back(what); }

  /// That of the metadata, else one for networks from elsewhere: nothing of it is for training a sequence of tasks.
  Config initial_config(const std::vector<std::string>& arguments) {
    const auto gives = [&](const std::string& key) {
      return std::ranges::any_of(arguments, [&](const std::string& word) {
        return word == "--" + key || word.starts_with("--" + key + "=");
      });
    };
    for (const char* key : {"neuron.model", "neuron.tau", "neuron.threshold", "neuron.reset",
                            "neuron.synapse_tau", "network.layers", "network.hidden", "network.recurrent",
                            "network.bias", "network.readout_tau", "network.weights"}) {
      if (gives(key)) throw ConfigError(fmt::format("command line: {}: it is the graph's own", key));
    }
    if (const auto text = metadata_text("config"))
      return read_config_of_run(*text, place() + "/node/metadata/config", arguments);
    std::vector<std::string> words = {fmt::format("--neuron.model={}", model_of(*layers_.front().neurons))};
    const auto otherwise = [&](const std::string& key, const std::string& value) {
      if (gives(key)) return;
      words.push_back(fmt::format("--{}={}", key, value));
      assume(fmt::format("{} = {}", key, value));
    };
    if (!metadata_number("dt", 0, 1e9)) otherwise("neuron.dt", "0.1");
    if (!metadata_number("steps", 0, 1e9)) otherwise("neuron.steps", "20");
    if (!metadata_number("mean", -1e9, 1e9)) otherwise("data.mean", "0");
    if (!metadata_number("deviation", 0, 1e9)) otherwise("data.deviation", "1");
    otherwise("data.name", "mnist");
    if (!gives("tasks.sequence")) {
      otherwise("tasks.sequence", "rotated");
      otherwise("rotated.angles", "0");
    }
    otherwise("rule.name", "bptt");
    otherwise("protection.name", "none");
    words.insert(words.end(), arguments.begin(), arguments.end());
    return read_config({}, words);
  }

  static std::string model_of(const NirNode& node) { return node.type == "IF" ? "if" : "lif"; }

  /// Gives a key a value where it has another one.
  void set(const std::string& key, const std::string& value) {
    const std::map<std::string, std::string> now = values_by_key(config_text(config_), place());
    const auto found = now.find(key);
    if (found == now.end() || found->second != value) config_.set(key, value);
  }

  /// The same for a number from the file, which may have been rounded there, unless the command line gives it.
  void set(const std::string& key, float now, double value) {
    const auto given = config_.places.find(key);
    const bool by_user = given != config_.places.end() && given->second == "command line";
    if (!near(now, value) && !by_user) config_.set(key, fmt::format("{}", static_cast<float>(value)));
  }

  void take_clock() {
    const std::string unit = metadata_text("time_unit").value_or("s");
    if (unit != "s" && unit != "ms")
      throw EnvironmentError(
          fmt::format("{}: /node/metadata/time_unit is '{}', expected 's' or 'ms'", place(), unit));
    unit_ = unit == "s" ? ms : 1;
    if (const auto dt = metadata_number("dt", 1e-12, 1e9)) set("neuron.dt", config_.clock.dt, *dt / unit_);
    if (const auto steps = metadata_number("steps", 1, 100000))
      set("neuron.steps", static_cast<float>(config_.clock.steps), std::floor(*steps));
    dt_ = config_.clock.dt * unit_;
    const std::string reset = metadata_text("reset").value_or("hard");
    if (reset != "soft" && reset != "hard")
      throw EnvironmentError(
          fmt::format("{}: /node/metadata/reset is '{}', expected 'soft' or 'hard'", place(), reset));
    soft_ = reset == "soft";
  }

  void take_input() {
    const auto mean = metadata_number("mean", -1e9, 1e9),
               deviation = metadata_number("deviation", 1e-30, 1e9);
    if (mean && config_.data.mean) set("data.mean", *config_.data.mean, *mean);
    if (deviation && config_.data.deviation) set("data.deviation", *config_.data.deviation, *deviation);
    network_.mean = config_.data.mean.value_or(static_cast<float>(mean.value_or(0)));
    network_.deviation = config_.data.deviation.value_or(static_cast<float>(deviation.value_or(1)));

    const std::vector<std::size_t>& shape = chain_.input_shape();
    const auto* const stored = metadata<double>("input_shape");
    const std::size_t size = shape.front();
    const auto side = static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(size))));
    if (shape.size() == 3) {
      network_.shape = {.height = shape[1], .width = shape[2], .channels = shape[0]};
    } else if (shape.size() == 2) {
      network_.shape = {.height = shape[0], .width = shape[1]};
    } else if (stored != nullptr && stored->size() == 3 &&
               (*stored)[0] * (*stored)[1] * (*stored)[2] == static_cast<double>(size) &&
               std::ranges::all_of(
                   *stored, [](double length) { return length >= 1 && length == std::floor(length); })) {
      network_.shape = {.height = static_cast<std::size_t>((*stored)[1]),
                        .width = static_cast<std::size_t>((*stored)[2]),
                        .channels = static_cast<std::size_t>((*stored)[0])};
    } else {
      network_.shape = side * side == size ? MapShape{.height = side, .width = side}
                                           : MapShape{.height = 1, .width = size};
      assume(fmt::format("images of {} × {} pixels", network_.shape.height, network_.shape.width));
    }
  }

  void take_layers() {
    Layers found;
    bool recurrent = false;
    for (std::size_t i = 0; i < hidden(); ++i) {
      const NirLayer& layer = layers_[i];
      const std::string& type = layer.neurons->type;
      if (type != layers_.front().neurons->type)
        chain_.refuse(layer.name,
                      fmt::format("comes after neurons of type {}, expected the same in all hidden "
                                  "populations",
                                  layers_.front().neurons->type));
      found.hidden.push_back({.way = layer.way, .shape = layer.shape});
      recurrent = recurrent || !layer.recurrent.empty();
    }
    found.to_readout = layers_.back().way;
    if (layers_.back().way.window)
      chain_.refuse(layers_.back().name, "is reached by a Conv2d, expected a Linear or Affine");
    if (!is_of_config(found)) set_layers(found);
    set("network.recurrent", recurrent ? "true" : "false");
    const auto has_bias = [](const NirLayer& layer) { return !layer.bias.empty(); };
    const bool any_hidden = std::any_of(layers_.begin(), layers_.end() - 1, has_bias);
    set("network.bias", any_hidden ? "all" : has_bias(layers_.back()) ? "readout" : "none");
    set("network.weights", "");
  }

  bool is_of_config(const Layers& found) const {
    try {
      return layers_of(config_.network.words(), network_.shape) == found;
    } catch (const ConfigError&) {
      return false;
    }
  }

  void set_layers(const Layers& found) {
    std::vector<std::string> words;
    std::vector<std::size_t> sizes;
    bool dense = found.to_readout == Way();
    const auto add_pooling = [&](const Way& way) {
      if (way.pooling > 1) words.push_back(fmt::format("p{}", way.pooling));
    };
    for (const Layer& layer : found.hidden) {
      const auto& [way, shape] = std::tie(layer.way, layer.shape);
      add_pooling(way);
      if (const auto& window = way.window) {
        words.push_back(
            fmt::format("{}c{}s{}p{}", shape.channels, window->kernel, window->stride, window->padding));
        if (window->groups > 1) words.back() += fmt::format("g{}", window->groups);
      } else {
        words.push_back(fmt::format("{}", shape.size()));
      }
      words.emplace_back("lif");
      sizes.push_back(shape.size());
      dense = dense && way == Way();
    }
    add_pooling(found.to_readout);
    set("network.layers", dense ? "none" : fmt::format("{}", fmt::join(words, ", ")));
    if (dense) set("network.hidden", fmt::format("{}", fmt::join(sizes, ",")));
  }

  /// Neurons whose constants the metadata's config and their thresholds say: any others are refused.
  void take_dsr() {
    const std::string reason = "the metadata's config says so";
    const auto& its = config_.neuron.settings<LifDsrModel::Settings>();
    const auto* const stored = metadata<double>("trained_thresholds");
    if (layers_.front().neurons->type != "LIF" || !soft_)
      chain_.refuse(layers_.front().name, "is no LIF with a soft reset, expected one: " + reason);
    for (std::size_t i = 0; i < hidden(); ++i) {
      const NirLayer& layer = layers_[i];
      const float level = chain_.values(layer, "v_threshold").front();
      float threshold = level / its.firing_fraction;
      if (stored != nullptr && stored->size() == hidden() && near((*stored)[i], threshold))
        threshold = static_cast<float>((*stored)[i]);
      if (!(threshold > 0))
        chain_.refuse(layer.name, fmt::format("has v_threshold {}, expected more than 0", level));
      const NirConstants expected = constants(config_, {threshold}, place());
      for (const auto& [field, value] : expected.fields)
        chain_.require(layer, field, field.starts_with("tau") ? value / ms * unit_ : value, reason);
      thresholds_.push_back({threshold});
      heights_.push_back(expected.height);
      scales_.emplace_back(layer.outputs(), 1.0);
    }
  }

  void take_lif() {
    const NirLayer& first = layers_.front();
    const std::string& type = first.neurons->type;
    set("neuron.model", model_of(*first.neurons));
    set("neuron.reset", soft_ ? "soft" : "hard");
    const std::string tau = type == "CubaLIF" ? "tau_mem" : "tau";
    const auto uniform = [&](const std::string& key, const std::string& field, float now) {
      const double value = chain_.positive_values(first, field).front();
      if (value < dt_ && !near(value, dt_))
        chain_.refuse(first.name, fmt::format("has {} {:.7g}, expected at least the step, {:.7g} (neuron.dt)",
                                              field, value, dt_));
      set(key, now, value / unit_);
      for (std::size_t i = 0; i < hidden(); ++i)
        chain_.require(layers_[i], field, value, "all hidden neurons have the same time constants");
      return value;
    };
    auto& its = config_.neuron.settings<LifModel::Settings>();
    double gain = dt_;  // of r
    if (type != "IF") gain = dt_ / uniform("neuron.tau", tau, its.tau);
    if (type == "CubaLIF") {
      gain *= dt_ / uniform("neuron.synapse_tau", "tau_syn", its.synapse_tau);
    } else {
      set("neuron.synapse_tau", "0");
    }
    const float threshold = chain_.positive_values(first, "v_threshold").front();
    set("neuron.threshold", its.threshold, threshold);
    for (std::size_t i = 0; i < hidden(); ++i) {
      const NirLayer& layer = layers_[i];
      if (type != "IF") chain_.require(layer, "v_leak", 0, "neurons here rest at 0");
      if (chain_.find(layer.name, "v_reset") != nullptr)
        chain_.require(layer, "v_reset", 0, "neurons here are reset to 0, or by their threshold");
      const std::vector<float>& r = chain_.values(layer, "r");
      const std::vector<float> thresholds = chain_.positive_values(layer, "v_threshold");
      std::vector<double> scales(layer.size());
      for (std::size_t j = 0; j < layer.size(); ++j)
        scales[j] = gain * r[j] * (static_cast<double>(threshold) / thresholds[j]);
      if (type == "CubaLIF") {
        const std::vector<float>& w_in = chain_.values(layer, "w_in");
        for (std::size_t j = 0; j < layer.size(); ++j) scales[j] *= w_in[j];
      }
      thresholds_.emplace_back();
      heights_.push_back(1);
      scales_.push_back(of_outputs(layer, scales));
    }
  }

  /// From one of each neuron, of maps channel first, one of each that weights lead to.
  std::vector<double> of_outputs(const NirLayer& layer, const std::vector<double>& scales) const {
    if (!layer.way.window) return scales;
    const std::size_t pixels = layer.shape.height * layer.shape.width;
    std::vector<double> result;
    for (std::size_t i = 0; i < scales.size(); ++i) {
      if (i % pixels == 0) result.push_back(scales[i]);
      if (!near(scales[i], result.back()))
        chain_.refuse(
            layer.name,
            fmt::format("has another r, w_in or v_threshold at pixel {} of channel {} than at the first, "
                        "expected the same at all",
                        i % pixels, i / pixels));
    }
    return result;
  }

  void take_readout() {
    const NirLayer& readout = layers_.back();
    scales_.emplace_back(readout.size(), 1.0);
    if (readout.neurons == nullptr) {
      if (config_.network.readout_tau != 0) set("network.readout_tau", "0");
      return;
    }
    chain_.require(readout, "v_leak", 0, "a read-out here rests at 0");
    const double tau = chain_.values(readout, "tau").front();
    if (!(tau >= dt_) && !near(tau, dt_))
      chain_.refuse(readout.name,
                    fmt::format("has tau {:.7g}, expected at least the step, {:.7g} (neuron.dt)", tau, dt_));
    chain_.require(readout, "tau", tau, "a read-out here has one time constant");
    set("network.readout_tau", config_.network.readout_tau, tau / unit_);
    const std::vector<float>& r = chain_.values(readout, "r");
    for (std::size_t j = 0; j < readout.size(); ++j) scales_.back()[j] = r[j] * dt_ / tau;
  }

  /// To the last population so far, which is that of a layer, perhaps by a convolution. height: of what the source sends,
  /// which is 1 in NIR.
  void add_projection(std::size_t source, float height, std::size_t layer, std::vector<float> weights,
                      const std::optional<Window>& window = std::nullopt) {
    const std::size_t target = network_.populations.size() - 1;
    const auto& names = network_.populations;
    scale_outputs(weights, window, scales_[layer]);
    if (height != 1) {
      for (float& weight : weights) weight = unfold(weight, height);
    }
    if (!std::ranges::all_of(weights, [](float weight) { return std::isfinite(weight); }))
      throw EnvironmentError(
          fmt::format("{}: weights to population {} are beyond single precision once r, w_in and "
                      "v_threshold are in them",
                      place(), names[target].name));
    network_.projections.push_back(
        {.name = fmt::format("{}_to_{}", names[source].name, names[target].name),
         .source = source,
         .target = target,
         .presynaptic = weights.size() / (scales_[layer].size() / (window ? window->groups : 1)),
         .values = std::move(weights)});
  }

  void add_projections() {
    const auto add = [&](const std::string& name, std::size_t size, const std::string& model,
                         const std::vector<float>& threshold) {
      network_.populations.push_back({.name = name, .size = size, .model = model, .threshold = threshold});
      return network_.populations.size() - 1;
    };
    using Biases = LayeredNetwork::Biases;
    const Biases biases = config_.network.biases;
    std::size_t source = add("input", network_.shape.size(), "input", {});
    float height = 1;
    const std::size_t bias = biases == Biases::none ? source : add(bias_model, 1, bias_model, {});
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const NirLayer& layer = layers_[i];
      const bool is_hidden = i < hidden();
      const std::size_t population =
          is_hidden ? add(fmt::format("hidden{}", i + 1), layer.size(), config_.neuron.name(), thresholds_[i])
                    : add("readout", layer.size(), "readout", {});
      add_projection(source, height, i, layer.weights, layer.way.window);
      if (biases == Biases::all || (biases == Biases::readout && !is_hidden))
        add_projection(bias, 1, i, layer.bias.empty() ? std::vector<float>(layer.outputs()) : layer.bias);
      if (!is_hidden) continue;
      source = population;
      height = heights_[i];
      if (config_.network.recurrent)
        add_projection(
            source, height, i,
            layer.recurrent.empty() ? std::vector<float>(layer.size() * layer.size()) : layer.recurrent);
    }
  }

  /// The program that trained it, and on what.
  void take_origin() {
    network_.version = metadata_text("orthospike_version").value_or(version);
    network_.git_revision = metadata_text("orthospike_revision").value_or(git_revision);
    const auto* const names = metadata<std::string>("task_names");
    const auto* const told = metadata<double>("task_told");
    if (names != nullptr && told != nullptr && names->size() == told->size() && !names->empty()) {
      for (std::size_t k = 0; k < names->size(); ++k)
        network_.tasks.push_back({.name = (*names)[k], .told = (*told)[k] != 0});
      network_.tasks_trained = static_cast<std::size_t>(
          metadata_number("tasks_trained", 0, static_cast<double>(names->size())).value_or(0));
    } else {
      network_.tasks = {{.name = "imported", .told = false}};
      network_.tasks_trained = 1;
    }
  }

  const NirGraph& graph_;
  std::vector<std::string> assumptions_;
  NirChain chain_;
  const std::vector<NirLayer>& layers_;
  Config config_;
  double unit_ = ms;  ///< a millisecond in the file's unit of time
  double dt_ = 0;     ///< in that unit
  bool soft_ = false;
  TrainedNetwork network_{};
  std::vector<std::vector<float>> thresholds_;  ///< of each hidden population, where they are trained
  std::vector<float> heights_;                  ///< of its spikes
  std::vector<std::vector<double>>
      scales_;  ///< of each population but the input, of the currents of each neuron
};

}  // namespace

ImportedNetwork from_nir(const NirGraph& graph, const std::vector<std::string>& arguments) {
  return Importer(graph, arguments).import();
}

}  // namespace orthospike
