#pragma once

#include "sim/layers.hpp"
#include "sim/network.hpp"

namespace orthospike {

/// A chain of populations: input, hidden1, hidden2, …, readout, each with a projection to the next, and perhaps with
/// biases: projections from a population `bias`.
struct LayeredNetwork {
  enum class Biases { none, readout, all };

  std::vector<std::string> layers;  ///< words of layers.hpp; none: dense ones of the sizes `hidden`
  std::vector<std::size_t> hidden = {800, 800};
  bool recurrent = false;
  Biases biases = Biases::none;
  float readout_tau = 0.0F;  ///< ms
  std::string weights;       ///< place of a weights file; empty: none
  NormalisationSettings normalisation;

  /// readout_may_leak: where not, readout_tau is not read.
  void describe(SettingsVisitor& visit, bool readout_may_leak);

  bool has_normalisation() const;
  /// Those of `layers`, or what `hidden` is short for.
  std::vector<std::string> words() const;
  /// Fills an empty network and draws its weights; whoever trains it reads those of `weights`. Throws ConfigError for a
  /// read-out that leaks faster than a step, and for layers that are none or do not fit the input or the other settings.
  void build(Network& network, const MapShape& input, std::size_t classes, const Choice<NeuronModels>& neuron,
             const Clock& clock, std::uint64_t seed) const;
};

}  // namespace orthospike
