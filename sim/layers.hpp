#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/map_shape.hpp"
#include "sim/connections/connection.hpp"

namespace orthospike {

/// How the output of one population comes to the next.
struct Way {
  std::size_t pooling = 1;       ///< squares of so many pixels on a side are averaged first
  std::optional<Window> window;  ///< of a convolution, on the pooled map; else each neuron is joined to each

  std::unique_ptr<Connection> connection(const MapShape& source, const MapShape& target) const;
  bool operator==(const Way&) const = default;
};

/// A hidden population and the way to it. One that is no map is 1 × 1 with a channel for each neuron.
struct Layer {
  Way way;
  MapShape shape;
  bool is_normalised = false;  ///< its currents are

  bool operator==(const Layer&) const = default;
};

struct Layers {
  std::vector<Layer> hidden;
  Way to_readout;

  bool operator==(const Layers&) const = default;
};

/// From the words of network.layers, one after another from the input to the read-out:
///
///     NcK, NcKsS, NcKsSpP   convolution: N channels, kernel K × K, stride S (else 1), padding P (else K / 2)
///     N                     N neurons, each joined to all before
///     bn                    batch normalisation of their currents, behind one of these
///     lif                   neurons, behind each of these or its bn
///     pK                    average pooling of K × K pixels, before one of these or the read-out
///
/// Throws ConfigError with the number of the word that is none or has no place there, and why.
Layers layers_of(const std::vector<std::string>& words, const MapShape& input);

}  // namespace orthospike
