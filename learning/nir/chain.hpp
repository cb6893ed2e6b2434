#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "learning/nir/file.hpp"
#include "sim/layers.hpp"

namespace orthospike {

/// Whether two constants of neurons are the same number: what single precision makes of it twice differs by less.
bool near(double a, double b);

/// The way from one population to the next, or to the output.
struct NirLayer {
  std::string name;                  ///< of the node with the neurons
  const NirNode* neurons = nullptr;  ///< null where the output takes the currents themselves
  Way way;
  std::vector<float> weights;    ///< [presynaptic × outputs], or of each group's, maps channel last
  std::vector<float> bias;       ///< [outputs], or none
  std::vector<float> recurrent;  ///< [neurons × neurons], or none
  MapShape shape;                ///< of the neurons; 1 × 1 of those that are no map

  std::size_t size() const { return shape.size(); }
  std::size_t outputs() const { return way.window ? shape.channels : size(); }
};

/// A graph that leads from one input by spiking populations, perhaps maps, to one output, the last layer. All throw EnvironmentError that
/// names the file and the node where it is another one.
class NirChain {
 public:
  /// The graph outlives this.
  explicit NirChain(const NirGraph& graph);

  const std::vector<NirLayer>& layers() const { return layers_; }
  /// Of an image, channel first, or of a list.
  const std::vector<std::size_t>& input_shape() const { return input_shape_; }

  [[noreturn]] void refuse(const std::string& name, const std::string& what) const;
  /// Null where the node has no such field.
  const NirArray* find(const std::string& name, const std::string& field) const;
  /// One for each neuron, those of maps channel first.
  const std::vector<float>& values(const NirLayer& layer, const std::string& field) const;
  /// The same, which must be positive.
  const std::vector<float>& positive_values(const NirLayer& layer, const std::string& field) const;
  /// Refuses neurons that have another value than expected, for a reason in words.
  void require(const NirLayer& layer, const std::string& field, double expected,
               const std::string& reason) const;

 private:
  const NirArray& array(const std::string& name, const std::string& field) const;
  /// The name of the one node of a type.
  std::string only(const std::string& type) const;
  /// The sizes that a shape field holds.
  std::vector<std::size_t> sizes(const std::string& name, const std::string& field) const;
  /// [inputs × outputs], from the node's [outputs × inputs].
  std::vector<float> weights(const std::string& name, std::size_t inputs) const;
  /// [outputs] of an Affine or Conv2d; none where they are all 0.
  std::vector<float> bias(const std::string& name, std::size_t outputs) const;
  /// Of a spiking node, its projection onto itself is taken out into `recurrent`.
  std::vector<std::string> forward_targets(const std::string& name, std::string& recurrent) const;
  /// Whether `source` is the projection of a spiking node onto itself.
  bool comes_back(const std::string& source, const std::string& name) const;
  void flatten(const std::string& name, std::vector<std::size_t>& shape) const;
  /// The one number that both sizes of a field are.
  std::size_t both(const std::string& name, const std::string& field, std::size_t lowest) const;
  /// Of a Conv2d on maps.
  Window window(const std::string& name, const MapShape& map) const;
  /// Of an AvgPool2d, which must divide the map.
  std::size_t pooling(const std::string& name, const MapShape& map) const;
  void walk();

  const NirGraph& graph_;
  std::map<std::string, std::vector<std::string>> targets_, sources_;
  std::vector<NirLayer> layers_;
  std::vector<std::size_t> input_shape_;
};

}  // namespace orthospike
