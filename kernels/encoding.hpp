#pragma once

#include <cstdint>

#include "kernels/family.hpp"

namespace orthospike {

/// currents[b, j] ← (images[samples[b], pixel_order[j]] / 255 - mean) / deviation.
struct EncodeImages {
  View<const std::uint8_t> images;        ///< [count × pixels]
  View<const std::uint32_t> samples;      ///< [batch] < count
  View<const std::uint32_t> pixel_order;  ///< [pixels] < pixels
  float mean;
  float deviation;
  Matrix currents;  ///< [batch × pixels]

  void check() const {
    require(samples.size() == currents.rows && pixel_order.size() == currents.cols, "encode_images",
            "currents are not [samples × pixels]");
    require(currents.cols > 0 && images.size() % currents.cols == 0, "encode_images", "images are not whole");
  }
  bool empty() const { return currents.empty(); }
};

struct Encoding : Family<EncodeImages> {
  using Family::Family;
};

}  // namespace orthospike
