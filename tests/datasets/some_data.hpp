#pragma once

#include <cstdint>
#include <vector>

#include "datasets/image_set.hpp"

namespace orthospike {

/// `count` images whose labels count up modulo `classes` and whose values differ from image to image.
inline ImageSet some_images(std::size_t count, const MapShape& shape, std::size_t classes,
                            std::size_t first = 0) {
  ImageSet set{.count = count,
               .height = shape.height,
               .width = shape.width,
               .channels = shape.channels,
               .pixels = {},
               .labels = {},
               .classes = classes};
  for (std::size_t i = 0; i < count; ++i) {
    set.labels.push_back(static_cast<std::uint8_t>((first + i) % classes));
    for (std::size_t value = 0; value < shape.size(); ++value)
      set.pixels.push_back(static_cast<std::uint8_t>((first + i) * 31 + value * 7));
  }
  return set;
}

/// Twelve training images a class and three test images.
inline ImageData some_data(const MapShape& shape, std::size_t classes) {
  return {some_images(12 * classes, shape, classes), some_images(3 * classes, shape, classes, 1)};
}

}  // namespace orthospike
