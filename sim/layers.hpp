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
  /// Of a residual block's end, the hidden population, counted from 0, at its beginning: its currents are carried on, or
  /// its spikes come by another way where the block changes their shape.
  std::optional<std::size_t> carried = {};
  struct Shortcut {
    std::size_t source;
    Way way;

    bool operator==(const Shortcut&) const = default;
  };
  std::optional<Shortcut> shortcut = {};

  bool operator==(const Layer&) const = default;
};

struct Layers {
  std::vector<Layer> hidden;
  Way to_readout;

  bool operator==(const Layers&) const = default;
};

/// From the words of network.layers, one after another from the input to the read-out:
///
///     NcKsSpPgG             convolution: N channels, kernel K × K, stride S, padding P, G groups of channels; without sS
///                           stride 1, without pP padding K / 2, without gG one group
///     N                     N neurons, each joined to all before
///     bn                    batch normalisation of their currents, behind one of these
///     lif                   neurons, behind each of these or its bn
///     blockN, blockNsS      pre-activation residual block of N channels, behind a convolution or another block: bn, lif, Nc3sS,
///                           bn, lif, Nc3, whose currents are added to those before it, or, where stride or channels
///                           differ, to what a convolution Nc1sS makes of the first neurons' spikes (He et al., 2016)
///     resnet18 N            Nc3, blockN, blockN, then the same with 2N, 4N and 8N channels, the first of them with stride 2,
///                           bn, lif and average pooling of the whole map
///     pK                    average pooling of K × K pixels, before one of these or the read-out
///
/// Throws ConfigError with the number of the word that is none or has no place there, and why.
Layers layers_of(const std::vector<std::string>& words, const MapShape& input);

}  // namespace orthospike
