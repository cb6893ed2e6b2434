#include "datasets/rendering.hpp"

#include <cmath>
#include <numbers>
#include <string>

#include "kernels/error.hpp"
#include "tests/catch.hpp"
#include "tests/datasets/some_data.hpp"

namespace orthospike {
namespace {

using Bytes = std::vector<std::uint8_t>;

ImageSet image(const MapShape& shape, const Bytes& pixels) {
  return {.count = 1,
          .height = shape.height,
          .width = shape.width,
          .channels = shape.channels,
          .pixels = pixels,
          .labels = {0},
          .classes = 1};
}

/// A value between pixels, computed in floating point: what Mix does with whole numbers.
double interpolated(const ImageSet& set, double row, double column) {
  double sum = 0;
  for (std::size_t r = 0; r < set.height; ++r) {
    for (std::size_t c = 0; c < set.width; ++c) {
      const double near_row = 1 - std::abs(row - static_cast<double>(r));
      const double near_column = 1 - std::abs(column - static_cast<double>(c));
      if (near_row > 0 && near_column > 0) sum += near_row * near_column * set.pixels[r * set.width + c];
    }
  }
  return sum;
}

TEST_CASE("images of the right shape stay as they are") {
  const ImageSet set = some_images(3, {4, 5, 2}, 2);
  CHECK(rendered(set, 3, {.shape = set.shape()}) == set.pixels);
  CHECK(rendered(set, 3, {.shape = set.shape(), .fit = Fit::scale}) == set.pixels);
  CHECK(rendered(set, 2, {.shape = set.shape()}) == Bytes(set.pixels.begin(), set.pixels.begin() + 2 * 40));
  CHECK(rendered(set, 3, {.shape = set.shape(), .angle = 360}) == set.pixels);
}

TEST_CASE("a quarter turn is anticlockwise and moves every pixel to one other") {
  const ImageSet set = image({3, 3, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(rendered(set, 1, {.shape = set.shape(), .angle = 90}) == Bytes{3, 6, 9, 2, 5, 8, 1, 4, 7});
  CHECK(rendered(set, 1, {.shape = set.shape(), .angle = -90}) == Bytes{7, 4, 1, 8, 5, 2, 9, 6, 3});
  CHECK(rendered(set, 1, {.shape = set.shape(), .angle = 180}) == Bytes{9, 8, 7, 6, 5, 4, 3, 2, 1});
  const ImageSet colours = image({2, 2, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  CHECK(rendered(colours, 1, {.shape = colours.shape(), .angle = 90}) ==
        Bytes{4, 5, 6, 10, 11, 12, 1, 2, 3, 7, 8, 9});
}

TEST_CASE("between pixels a turned image is bilinear, outside it is 0") {
  const ImageSet set = some_images(1, {6, 9, 1}, 1);
  for (const double angle : {10.0, 37.5, -120.0}) {
    const Bytes turned = rendered(set, 1, {.shape = set.shape(), .angle = static_cast<float>(angle)});
    const double radians = angle * std::numbers::pi / 180;
    for (std::size_t row = 0; row < 6; ++row) {
      for (std::size_t column = 0; column < 9; ++column) {
        // x to the right, y up: the inverse turn of the place that comes out.
        const double x = static_cast<double>(column) - 4, y = 2.5 - static_cast<double>(row);
        const double from_x = std::cos(radians) * x + std::sin(radians) * y;
        const double from_y = std::cos(radians) * y - std::sin(radians) * x;
        CHECK(turned[row * 9 + column] == Approx(interpolated(set, 2.5 - from_y, 4 + from_x)).margin(0.7));
      }
    }
  }
}

TEST_CASE("padding centres an image on 0") {
  const ImageSet set = image({1, 2, 1}, {5, 6});
  CHECK(rendered(set, 1, {.shape = {3, 4, 1}}) == Bytes{0, 0, 0, 0, 0, 5, 6, 0, 0, 0, 0, 0});
  CHECK(rendered(set, 1, {.shape = {2, 5, 1}}) == Bytes{0, 5, 6, 0, 0, 0, 0, 0, 0, 0});  // the odd one behind
}

TEST_CASE("scaling is bilinear with edges on edges") {
  const ImageSet set = image({1, 2, 1}, {0, 100});
  CHECK(rendered(set, 1, {.shape = {1, 4, 1}, .fit = Fit::scale}) == Bytes{0, 25, 75, 100});
  CHECK(rendered(set, 1, {.shape = {2, 1, 1}, .fit = Fit::scale}) == Bytes{50, 50});
  const ImageSet flat = image({3, 3, 1}, Bytes(9, 255));
  CHECK(rendered(flat, 1, {.shape = {7, 5, 1}, .fit = Fit::scale}) == Bytes(35, 255));
}

TEST_CASE("one channel is repeated, after all else") {
  const ImageSet set = image({1, 2, 1}, {5, 6});
  CHECK(rendered(set, 1, {.shape = {1, 2, 3}}) == Bytes{5, 5, 5, 6, 6, 6});
  CHECK(rendered(set, 1, {.shape = {1, 3, 3}, .angle = 180}) == Bytes{0, 0, 0, 6, 6, 6, 5, 5, 5});
}

TEST_CASE("what cannot be brought to a shape is refused") {
  const ImageSet set = some_images(1, {4, 4, 3}, 1);
  CHECK_THROWS_AS(rendered(set, 1, {.shape = {4, 4, 1}}), ConfigError);
  CHECK_THROWS_WITH(
      rendered(set, 1, {.shape = {3, 5, 3}}),
      "data.name: images of 4 x 4 x 3 cannot be brought to 3 x 5 x 3: they are too large to be padded");
  CHECK_NOTHROW(rendered(set, 1, {.shape = {3, 5, 3}, .fit = Fit::scale}));
}

}  // namespace
}  // namespace orthospike
