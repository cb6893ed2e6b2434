#include "learning/nir/chain.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "kernels/error.hpp"
#include "learning/nir/maps.hpp"

namespace orthospike {

namespace {

bool is_spiking(const NirNode& node) {
  return node.type == "LIF" || node.type == "IF" || node.type == "CubaLIF";
}

bool has_weights(const NirNode& node) {
  return node.type == "Linear" || node.type == "Affine";
}

std::size_t product(const std::vector<std::size_t>& shape) {
  std::size_t all = 1;
  for (const std::size_t size : shape) all *= size;
  return all;
}

/// Identity matrices for populations without weights between them are together not larger than one of this size.
constexpr std::size_t most_identity = 4096;

}  // namespace

bool near(double a, double b) {
  return std::abs(a - b) <= 1e-6 * std::max(std::abs(a), std::abs(b));
}

NirChain::NirChain(const NirGraph& graph) : graph_(graph) {
  static const std::vector<std::string> known = {
      "Input", "Output", "Flatten", "Linear", "Affine", "Conv2d", "AvgPool2d", "LIF", "IF", "CubaLIF", "LI"};
  for (const auto& [name, node] : graph.nodes) {
    if (std::ranges::find(known, node.type) == known.end())
      refuse(name, fmt::format("is none of {}", fmt::join(known, ", ")));
  }
  for (const auto& [source, target] : graph.edges) {
    for (const std::string& name : {source, target}) {
      if (!graph.nodes.contains(name))
        throw EnvironmentError(fmt::format("{}: an edge leads from '{}' to '{}', and there is no node '{}'",
                                           graph.path.string(), source, target, name));
    }
    targets_[source].push_back(target);
    sources_[target].push_back(source);
  }
  walk();
}

void NirChain::refuse(const std::string& name, const std::string& what) const {
  throw EnvironmentError(fmt::format("{}: node '{}', of type {}, {}", graph_.path.string(), name,
                                     graph_.nodes.at(name).type, what));
}

const NirArray* NirChain::find(const std::string& name, const std::string& field) const {
  const auto& fields = graph_.nodes.at(name).fields;
  const auto found = fields.find(field);
  return found == fields.end() ? nullptr : &found->second;
}

const NirArray& NirChain::array(const std::string& name, const std::string& field) const {
  const NirArray* const found = find(name, field);
  if (found == nullptr) refuse(name, fmt::format("has no numbers '{}'", field));
  return *found;
}

const std::vector<float>& NirChain::values(const NirLayer& layer, const std::string& field) const {
  const NirArray& found = array(layer.name, field);
  if (found.values.size() != layer.size())
    refuse(layer.name,
           fmt::format("has {} values '{}', expected {}", found.values.size(), field, layer.size()));
  return found.values;
}

const std::vector<float>& NirChain::positive_values(const NirLayer& layer, const std::string& field) const {
  const std::vector<float>& found = values(layer, field);
  const auto wrong = std::ranges::find_if_not(found, [](float value) { return value > 0; });
  if (wrong != found.end())
    refuse(layer.name,
           fmt::format("has {} {} of neuron {}, expected more than 0", field, *wrong, wrong - found.begin()));
  return found;
}

void NirChain::require(const NirLayer& layer, const std::string& field, double expected,
                       const std::string& reason) const {
  const std::vector<float>& found = values(layer, field);
  const auto other = std::ranges::find_if_not(found, [&](float value) { return near(value, expected); });
  if (other != found.end())
    refuse(layer.name, fmt::format("has {} {} of neuron {}, expected {:.7g}: {}", field, *other,
                                   other - found.begin(), expected, reason));
}

std::string NirChain::only(const std::string& type) const {
  std::vector<std::string> found;
  for (const auto& [name, node] : graph_.nodes) {
    if (node.type == type) found.push_back(name);
  }
  if (found.size() != 1)
    throw EnvironmentError(fmt::format("{}: there are {} nodes of type {}, expected one",
                                       graph_.path.string(), found.size(), type));
  return found.front();
}

std::vector<std::size_t> NirChain::sizes(const std::string& name, const std::string& field) const {
  constexpr float most = 1 << 24;  // up to it, single precision has all integers
  std::vector<std::size_t> result;
  double product = 1;
  for (const float value : array(name, field).values) {
    if (!(value >= 1 && value <= most) || value != std::floor(value))
      refuse(name, fmt::format("has {} among '{}', expected sizes", value, field));
    product *= value;
    result.push_back(static_cast<std::size_t>(value));
  }
  if (result.empty() || result.size() > 3 || product > most)
    refuse(name, fmt::format("has the {} [{}], expected one to three sizes of at most {} values", field,
                             fmt::join(result, " × "), most));
  return result;
}

std::vector<float> NirChain::weights(const std::string& name, std::size_t inputs) const {
  const NirArray& weight = array(name, "weight");
  if (weight.shape.size() != 2 || weight.shape[1] != inputs || weight.values.empty())
    refuse(name, fmt::format("has the weight [{}], expected [targets × {}]", fmt::join(weight.shape, " × "),
                             inputs));
  return transposed(weight.values, weight.shape[0], inputs);
}

std::vector<float> NirChain::bias(const std::string& name, std::size_t outputs) const {
  if (graph_.nodes.at(name).type == "Linear") return {};
  const std::vector<float>& values = array(name, "bias").values;
  if (values.size() != outputs)
    refuse(name, fmt::format("has a bias of {} values, expected {}", values.size(), outputs));
  const bool any = std::ranges::any_of(values, [](float value) { return value != 0; });
  return any ? values : std::vector<float>();
}

std::vector<std::string> NirChain::forward_targets(const std::string& name, std::string& recurrent) const {
  std::vector<std::string> forward;
  const auto found = targets_.find(name);
  if (found == targets_.end()) return forward;
  for (const std::string& target : found->second) {
    const auto onward = targets_.find(target);
    const bool comes_back = is_spiking(graph_.nodes.at(name)) && has_weights(graph_.nodes.at(target)) &&
                            onward != targets_.end() && onward->second == std::vector{name};
    if (!comes_back) {
      forward.push_back(target);
    } else if (recurrent.empty()) {
      recurrent = target;
    } else {
      refuse(name, fmt::format("has two projections onto itself, '{}' and '{}', expected one at most",
                               recurrent, target));
    }
  }
  return forward;
}

std::size_t NirChain::both(const std::string& name, const std::string& field, std::size_t lowest) const {
  const std::vector<float>& values = array(name, field).values;
  const bool alike = (values.size() == 1 || values.size() == 2) && values.front() == values.back();
  if (!alike || !(values.front() >= static_cast<float>(lowest) && values.front() <= 65536) ||
      values.front() != std::floor(values.front()))
    refuse(name, fmt::format("has the {} [{}], expected the same size of at least {} both ways", field,
                             fmt::join(values, ", "), lowest));
  return static_cast<std::size_t>(values.front());
}

Window NirChain::window(const std::string& name, const MapShape& map) const {
  const NirArray& weight = array(name, "weight");
  const std::vector<std::size_t>& sizes = weight.shape;
  const std::size_t groups = both(name, "groups", 1);
  if (sizes.size() != 4 || sizes[0] % groups != 0 || sizes[1] * groups != map.channels ||
      sizes[2] != sizes[3] || weight.values.empty())
    refuse(name, fmt::format("has the weight [{}] and {} groups, expected as many channels for each of "
                             "them, [channels × {} / groups × kernel × kernel]",
                             fmt::join(sizes, " × "), groups, map.channels));
  if (both(name, "dilation", 1) != 1) refuse(name, "has dilation, expected 1");
  const Window window{.map = map,
                      .kernel = sizes[2],
                      .stride = both(name, "stride", 1),
                      .padding = both(name, "padding", 0),
                      .groups = groups};
  if (!window.fits())
    refuse(name,
           fmt::format("has a kernel without a place in a map of {} × {} pixels", map.height, map.width));
  return window;
}

std::size_t NirChain::pooling(const std::string& name, const MapShape& map) const {
  const std::size_t size = both(name, "kernel_size", 1);
  if (both(name, "stride", 1) != size || both(name, "padding", 0) != 0)
    refuse(name, "has padding, or a stride that is not its size, expected neither");
  if (map.height % size != 0 || map.width % size != 0)
    refuse(name, fmt::format("does not divide a map of {} × {} pixels", map.height, map.width));
  return size;
}

void NirChain::walk() {
  std::string name = only("Input");
  const std::string output = only("Output");
  input_shape_ = sizes(name, "shape");
  std::vector<std::size_t> shape = input_shape_;
  const auto as_map = [&] {
    return shape.size() == 3 ? MapShape{shape[1], shape[2], shape[0]} : MapShape{1, 1, product(shape)};
  };
  std::optional<NirLayer> pending;  // with weights on the way to the next neurons
  MapShape flattened = as_map();    // what one dimension was before, for the order of its values
  std::size_t pooled = 1;
  std::size_t identities = 0;  // values of identity matrices
  std::set<std::string> visited = {name};
  while (name != output) {
    std::string recurrent;
    const std::vector<std::string> targets = forward_targets(name, recurrent);
    if (!recurrent.empty()) {
      NirLayer& layer = layers_.back();
      if (layer.way.window) refuse(recurrent, "leads a map onto itself, which none does here");
      layer.recurrent = weights(recurrent, layer.size());
      if (layer.recurrent.size() != layer.size() * layer.size())
        refuse(recurrent, fmt::format("has {} targets, expected {}", layer.recurrent.size() / layer.size(),
                                      layer.size()));
      if (!bias(recurrent, layer.size()).empty())
        refuse(recurrent, "has a bias, expected none of a projection of neurons onto themselves");
      if (sources_.at(recurrent).size() != 1) refuse(recurrent, "has several sources, expected one");
      visited.insert(recurrent);
    }
    if (targets.size() != 1)
      refuse(name,
             fmt::format("leads to {} nodes, expected one, and for spiking neurons perhaps a Linear that "
                         "leads back",
                         targets.size()));
    const std::string before = name;
    name = targets.front();
    if (!visited.insert(name).second)
      refuse(name, "is part of a cycle, expected none but from spiking neurons by a Linear onto themselves");
    for (const std::string& source : sources_.at(name)) {
      if (source != before && !comes_back(source, name))
        refuse(name, fmt::format("has the sources '{}' and '{}', expected one", before, source));
    }
    const NirNode& node = graph_.nodes.at(name);
    const bool convolves = node.type == "Conv2d";
    if (has_weights(node) || convolves || node.type == "AvgPool2d") {
      if (pending) refuse(name, fmt::format("follows weights, '{}', expected neurons between them", before));
      if (shape.size() != (has_weights(node) ? 1 : 3))
        refuse(name,
               fmt::format("follows values of the shape [{}], expected {}", fmt::join(shape, " × "),
                           has_weights(node) ? "a Flatten between them" : "[channels × height × width]"));
    }
    if (node.type == "AvgPool2d") {
      const std::size_t size = pooling(name, as_map());
      pooled *= size;
      shape = {shape[0], shape[1] / size, shape[2] / size};
      continue;
    }
    if (has_weights(node)) {
      if (pooled > 1 && flattened.height != flattened.width)
        refuse(name, "follows a pooled map that is no square, expected one");
      std::vector<float> rows = channel_last_rows(weights(name, shape.front()), flattened);
      shape = {rows.size() / shape.front()};
      pending.emplace();
      pending->way.pooling = pooled;
      pending->weights = std::move(rows);
      pending->bias = bias(name, shape.front());
      continue;
    }
    if (convolves) {
      const Window seen = window(name, as_map());
      const std::vector<float>& values = array(name, "weight").values;
      const std::size_t channels = array(name, "weight").shape.front();
      pending.emplace();
      pending->way = {.pooling = pooled, .window = seen};
      pending->weights = convolution_weights(seen, values);
      pending->bias = bias(name, channels);
      shape = {channels, seen.out_height(), seen.out_width()};
      pending->shape = as_map();
      continue;
    }
    if (node.type == "Flatten") {
      if (shape.size() == 3) flattened = as_map();
      flatten(name, shape);
      continue;
    }
    const std::size_t size = product(shape);
    if (node.type == "Output") {
      if (product(sizes(name, "shape")) != size)
        refuse(name, fmt::format("has the shape [{}], expected {} values",
                                 fmt::join(sizes(name, "shape"), " × "), size));
      if (!layers_.empty() && layers_.back().neurons->type == "LI" && !pending) break;
    }
    if (!layers_.empty() && layers_.back().neurons->type == "LI")
      refuse(layers_.back().name, fmt::format("leads to '{}', expected the output", name));
    if (!pending) {
      identities += size * size;
      if (size > most_identity || identities > most_identity * most_identity)
        refuse(name, fmt::format("follows {} values without weights between them, expected at most {} in all",
                                 size, most_identity));
      if (pooled > 1 || (!layers_.empty() && layers_.back().way.window))
        refuse(name, "follows a map without weights between them, expected some");
      std::vector<float> identity(size * size, 0.0F);
      for (std::size_t i = 0; i < size; ++i) identity[i * size + i] = 1;
      pending.emplace();
      pending->weights = channel_last_rows(identity, shape.size() == 3 ? as_map() : flattened);
    }
    pending->name = name;
    pending->neurons = node.type == "Output" ? nullptr : &node;
    if (!pending->way.window) {
      pending->shape = {1, 1, size};
      shape = {size};
    }
    flattened = pending->shape;
    pooled = 1;
    layers_.push_back(*std::exchange(pending, std::nullopt));
  }
  for (const auto& [other, node] : graph_.nodes) {
    if (!visited.contains(other)) refuse(other, "is not on the way from the input to the output");
  }
  if (layers_.size() < 2 || !is_spiking(*layers_.front().neurons))
    throw EnvironmentError(
        fmt::format("{}: there is no spiking population before the read-out", graph_.path.string()));
}

bool NirChain::comes_back(const std::string& source, const std::string& name) const {
  const auto before = sources_.find(source);
  return is_spiking(graph_.nodes.at(name)) && has_weights(graph_.nodes.at(source)) &&
         before != sources_.end() && before->second == std::vector{name};
}

void NirChain::flatten(const std::string& name, std::vector<std::size_t>& shape) const {
  const auto place = [&](const std::string& field, float otherwise) {
    const NirArray* const found = find(name, field);
    if (found != nullptr && found->values.size() != 1) refuse(name, fmt::format("has no one '{}'", field));
    const float value = found == nullptr ? otherwise : found->values.front();
    return value < 0 ? value + static_cast<float>(shape.size()) : value;
  };
  const float first = place("start_dim", 1), last = place("end_dim", -1);
  if (shape.size() > 1 && (first != 0 || last != static_cast<float>(shape.size() - 1)))
    refuse(name, fmt::format("flattens dimensions {} to {} of [{}], expected all of them", first, last,
                             fmt::join(shape, " × ")));
  shape = {product(shape)};
}

}  // namespace orthospike
