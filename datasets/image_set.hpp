#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/map_shape.hpp"

namespace orthospike {

/// Images with labels. `pixels` is [count × height × width × channels] row-major, `labels` is [count].
/// `classes` is at least 1 and above every label.
struct ImageSet {
  std::size_t count = 0;
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t channels = 1;
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> labels;
  std::size_t classes = 1;

  MapShape shape() const { return {height, width, channels}; }
  std::size_t pixels_per_image() const { return shape().size(); }
};

/// Training and test images of equal shape, with the same `classes`: 1 + the largest label of the training images.
struct ImageData {
  ImageSet train;
  ImageSet test;
  std::string name = {};  ///< for people
};

}  // namespace orthospike
