#pragma once

#include <cstdint>
#include <vector>

#include "datasets/image_set.hpp"

namespace orthospike {

/// How images of another size come to the one that the network sees.
enum class Fit { pad, scale };

/// What is done to images before they are stored, once and on the host, as bytes: a network then reads them as fast as
/// those of a file. Tasks of one data set with the same rendering share what is stored; an order of pixels, by which
/// permuted tasks differ, is none of it, since the encoder gathers by it as it reads.
struct Rendering {
  MapShape shape;      ///< of what comes out; one channel is repeated
  Fit fit = Fit::pad;  ///< pad: centred on 0; scale: bilinear, edges on edges
  float angle = 0;     ///< degrees, anticlockwise about the centre, bilinear; what comes from outside is 0

  bool operator==(const Rendering&) const = default;
};

/// The first `count` images of a set, [count × rendering.shape]. Values are rounded, and the same on every machine.
/// Throws ConfigError where images are larger than those to pad them to, or channels are neither as many nor one.
std::vector<std::uint8_t> rendered(const ImageSet& set, std::size_t count, const Rendering& rendering);

}  // namespace orthospike
