#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <optional>
#include <utility>

#include "kernels/error.hpp"
#include "learning/nir/chain.hpp"
#include "learning/nir/maps.hpp"
#include "learning/nir/neurons.hpp"
#include "learning/nir/nir.hpp"

namespace orthospike {

namespace {

NirNode end_node(const std::string& type, const std::vector<std::size_t>& shape) {
  return {.type = type, .fields = {{"shape", sizes_of(shape)}}};
}

/// Neurons that are all the same.
NirNode neuron_node(const std::string& type, const std::map<std::string, double>& fields,
                    const std::vector<std::size_t>& shape) {
  NirNode node{.type = type, .fields = {}};
  const std::size_t size = std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies());
  for (const auto& [name, value] : fields)
    node.fields[name] = {.shape = shape, .values = std::vector<float>(size, static_cast<float>(value))};
  return node;
}

/// weights [targets × sources]; bias: none, or one for each target.
NirNode dense_node(std::vector<float> weights, std::size_t sources, const std::vector<float>& bias) {
  const std::size_t targets = weights.size() / sources;
  NirNode node{.type = "Linear",
               .fields = {{"weight", {.shape = {targets, sources}, .values = std::move(weights)}}}};
  if (!bias.empty()) {
    node.type = "Affine";
    node.fields["bias"] = {.shape = {targets}, .values = bias};
  }
  return node;
}

/// Those of a population; none where it has none.
std::vector<float> bias_of(const TrainedNetwork& network, std::size_t population) {
  for (const TrainedNetwork::Weights& projection : network.projections) {
    if (projection.target == population && network.populations[projection.source].model == bias_model)
      return projection.values;
  }
  return {};
}

/// Takes a normalisation (TrainedNetwork::Neurons) of currents into the weights that bring them, perhaps of a convolution
/// with that window, and biases.
void fold(const std::vector<float>& normalisation, float epsilon, const std::optional<Window>& window,
          std::vector<float>& weights, std::vector<float>& bias) {
  if (normalisation.empty()) return;
  const std::size_t channels = normalisation.size() / TrainedNetwork::normalisation_rows;
  const float *const gain = normalisation.data(), *const offset = gain + channels,
                     *const mean = offset + channels, *const variance = mean + channels;
  std::vector<double> factors(channels);
  bias.resize(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    factors[c] = gain[c] / std::sqrt(static_cast<double>(variance[c]) + epsilon);
    bias[c] = static_cast<float>(offset[c] + factors[c] * (bias[c] - mean[c]));
  }
  for (std::size_t i = 0; i < weights.size(); ++i)
    weights[i] = static_cast<float>(weights[i] * factors[channel_of_weight(window, channels, i)]);
}

/// The populations of a network as NIR has them.
class ExportedShapes {
 public:
  /// Throws EnvironmentError for a convolution of neurons that are no map.
  ExportedShapes(const TrainedNetwork& network, const Config& config, const std::string& place)
      : layers_(layers_of(config.network.words(), network.shape)) {
    const Way& first = layers_.hidden.front().way;
    shapes_.push_back(network.shape);
    is_map_.push_back(first.window || first.pooling > 1);
    for (const auto& [way, shape, is_normalised, carried, shortcut] : layers_.hidden) {
      if (carried || shortcut)
        throw EnvironmentError(
            fmt::format("{}: network.layers has residual blocks, which are not exported", place));
      if (way.window && !is_map_.back())
        throw EnvironmentError(fmt::format(
            "{}: network.layers has a convolution of dense neurons, for which NIR has no node", place));
      shapes_.push_back(shape);
      is_map_.push_back(way.window.has_value());
    }
  }

  /// Of the k-th hidden population, counted from 1, or of the input.
  std::vector<std::size_t> shape(std::size_t k) const {
    if (is_map_[k]) return channel_first(shapes_[k]);
    return {shapes_[k].size()};
  }
  bool is_map(std::size_t k) const { return is_map_[k]; }
  /// From it to the next population.
  const Way& way(std::size_t k) const {
    return k < layers_.hidden.size() ? layers_.hidden[k].way : layers_.to_readout;
  }
  /// What the next population's weights see of it.
  MapShape pooled(std::size_t k) const { return shapes_[k].pooled(way(k).pooling); }

 private:
  Layers layers_;
  std::vector<MapShape> shapes_;
  std::vector<bool> is_map_;
};

NirMetadata text(const std::string& value) {
  return std::vector{value};
}

NirMetadata number(double value) {
  return std::vector{value};
}

}  // namespace

NirGraph to_nir(const TrainedNetwork& network) {
  const std::string place = network.path.string();
  const Config config = read_config_of_run(network.config, place + "/config", {});
  check_against_config(network, config, place);
  const ExportedShapes shapes(network, config, place);
  NirGraph graph;
  const std::size_t last = network.populations.size() - 1;
  std::vector<std::size_t> place_in_chain(last + 1);  // of each population, the input's being 0
  std::vector<float> heights(last + 1, 1.0F);
  std::vector<double> trained_thresholds;
  bool soft = true;
  double readout_decay = 1;
  for (std::size_t i = 0, k = 0; i <= last; ++i) {
    const auto& [name, size, model, threshold, normalisation] = network.populations[i];
    if (model == bias_model) continue;
    place_in_chain[i] = k++;
    if (i == 0) {
      graph.nodes[name] = end_node("Input", shapes.shape(0));
    } else if (i < last) {
      const NirConstants its = constants(config, threshold, place);
      graph.nodes[name] = neuron_node(its.type, its.fields, shapes.shape(place_in_chain[i]));
      heights[i] = its.height;
      soft = its.soft;
      readout_decay = its.averaging_decay;
      if (!threshold.empty()) trained_thresholds.push_back(threshold.front());
    } else {
      graph.nodes["output"] = end_node("Output", {size});
    }
  }
  const double dt = config.clock.dt * ms, readout_tau = config.network.readout_tau * ms;
  const std::string readout = readout_tau > 0 ? network.populations[last].name : "output";
  if (readout_tau > 0) {
    graph.nodes[readout] = neuron_node("LI", {{"tau", readout_tau}, {"r", readout_tau / dt}, {"v_leak", 0}},
                                       {network.populations[last].size});
    graph.edges.emplace_back(readout, "output");
  }
  for (const TrainedNetwork::Weights& projection : network.projections) {
    const auto& [name, source, target, presynaptic, values] = projection;
    if (network.populations[source].model == bias_model) continue;
    const bool is_recurrent = source == target;
    std::vector<float> weights = values;
    std::vector<float> bias = is_recurrent ? std::vector<float>() : bias_of(network, target);
    const std::size_t k = place_in_chain[source], outputs = projection.outputs();
    const Way way = is_recurrent ? Way() : shapes.way(k);
    fold(network.populations[target].normalisation, config.network.normalisation.epsilon, way.window, weights,
         bias);
    if (heights[source] != 1) {
      for (float& weight : weights) weight *= heights[source];
    }
    std::string before = network.populations[source].name;
    const auto add_node = [&](const std::string& added, NirNode node) {
      graph.nodes[added] = std::move(node);
      graph.edges.emplace_back(before, added);
      before = added;
    };
    if (way.pooling > 1) add_node(name + "_pool", pool_node(way.pooling));
    if (way.window) {
      bias.resize(outputs * way.window->groups);
      add_node(name, convolution_node(*way.window, weights, bias));
    } else {
      if (shapes.is_map(k)) {
        add_node(name + "_flatten", flatten_node(shapes.pooled(k)));
        weights = channel_first_rows(weights, shapes.pooled(k));
      }
      add_node(name, dense_node(transposed(weights, presynaptic, outputs), presynaptic, bias));
    }
    graph.edges.emplace_back(before, target == last ? readout : network.populations[target].name);
  }

  std::vector<std::string> task_names;
  std::vector<double> task_told;
  for (const TaskDescription& task : network.tasks) {
    task_names.push_back(task.name);
    task_told.push_back(task.told ? 1 : 0);
  }
  const auto& [height, width, channels] = network.shape;
  graph.metadata = {
      {"time_unit", text("s")},
      {"dt", number(dt)},
      {"steps", number(static_cast<double>(config.clock.steps))},
      {"integration", text("forward Euler; a spike is sent in the step in which v reaches v_threshold")},
      {"reset", text(soft ? "soft" : "hard")},
      {"reset_meaning", text("after a spike; soft: v - (v_threshold - v_reset), hard: v_reset")},
      {"input", text(fmt::format(
                    "(pixel - mean) / deviation of pixels from 0 to 1{}, in every step; channel {}",
                    config.data.scaling == DataSettings::Scaling::each ? ", by its own of each data set" : "",
                    shapes.is_map(0) ? "first" : "last"))},
      {"input_shape",
       std::vector{static_cast<double>(channels), static_cast<double>(height), static_cast<double>(width)}},
      {"mean", number(network.mean)},
      {"deviation", number(network.deviation)},
      {"readout",
       text("average of the output, step i of all steps with the weight readout_decay^(steps - i)")},
      {"readout_decay", number(readout_decay)},
      {"config", text(network.config)},
      {"orthospike_version", text(network.version)},
      {"orthospike_revision", text(network.git_revision)},
      {"task_names", task_names},
      {"task_told", task_told},
      {"tasks_trained", number(static_cast<double>(network.tasks_trained))}};
  if (!trained_thresholds.empty()) graph.metadata["trained_thresholds"] = trained_thresholds;
  return graph;
}

}  // namespace orthospike
