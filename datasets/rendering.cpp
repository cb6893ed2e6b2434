#include "datasets/rendering.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "kernels/error.hpp"

namespace orthospike {
namespace {

/// Weights are whole numbers, so that sums are the same with and without fused operations.
constexpr std::uint32_t one = 1U << 11;
constexpr unsigned weight_bits = 22;

/// A pixel that comes out: so much of each of four that go in, which add up to 2^22 inside the image.
struct Mix {
  std::array<std::uint32_t, 4> pixel{};
  std::array<std::uint32_t, 4> weight{};
};

/// A grid without channels.
struct Size {
  std::size_t height, width;
};

/// The pixel at a place between pixels; outside the image all is 0.
Mix bilinear(double row, double column, const Size& size) {
  Mix mix;
  const double top = std::floor(row), left = std::floor(column);
  const auto down = static_cast<std::uint32_t>(std::lround((row - top) * one));
  const auto right = static_cast<std::uint32_t>(std::lround((column - left) * one));
  for (std::size_t corner = 0; corner < 4; ++corner) {
    const bool is_lower = corner / 2 == 1, is_right = corner % 2 == 1;
    const double r = top + is_lower, c = left + is_right;
    if (r < 0 || c < 0 || r >= static_cast<double>(size.height) || c >= static_cast<double>(size.width))
      continue;
    mix.pixel[corner] = static_cast<std::uint32_t>(r) * static_cast<std::uint32_t>(size.width) +
                        static_cast<std::uint32_t>(c);
    mix.weight[corner] = (is_lower ? down : one - down) * (is_right ? right : one - right);
  }
  return mix;
}

/// One mix for each pixel of `to`, from the place in `from` that `place(row, column)` names.
template <class Place>
std::vector<Mix> mixes(const Size& from, const Size& to, const Place& place) {
  std::vector<Mix> all;
  for (std::size_t row = 0; row < to.height; ++row) {
    for (std::size_t column = 0; column < to.width; ++column) {
      const auto [r, c] = place(static_cast<double>(row), static_cast<double>(column));
      all.push_back(bilinear(r, c, from));
    }
  }
  return all;
}

std::vector<Mix> padding(const Size& from, const Size& to) {
  const double above = std::floor(static_cast<double>(to.height - from.height) / 2);
  const double before = std::floor(static_cast<double>(to.width - from.width) / 2);
  return mixes(from, to, [&](double row, double column) { return std::array{row - above, column - before}; });
}

std::vector<Mix> scaling(const Size& from, const Size& to) {
  const auto place = [](double i, std::size_t small, std::size_t large) {
    const double scale = static_cast<double>(small) / static_cast<double>(large);
    return std::clamp((i + 0.5) * scale - 0.5, 0.0, static_cast<double>(small - 1));
  };
  return mixes(from, to, [&](double row, double column) {
    return std::array{place(row, from.height, to.height), place(column, from.width, to.width)};
  });
}

std::vector<Mix> rotation(const Size& size, double angle) {
  const double radians = angle * std::numbers::pi / 180;
  const double sine = std::sin(radians), cosine = std::cos(radians);
  const double middle_row = static_cast<double>(size.height - 1) / 2;
  const double middle_column = static_cast<double>(size.width - 1) / 2;
  return mixes(size, size, [&](double row, double column) {
    const double down = row - middle_row, right = column - middle_column;
    return std::array{middle_row + cosine * down + sine * right,
                      middle_column + cosine * right - sine * down};
  });
}

/// images [count × pixels × channels] → [count × mixes × channels]
std::vector<std::uint8_t> mixed(const std::vector<std::uint8_t>& images, std::size_t count,
                                std::size_t pixels, std::size_t channels, const std::vector<Mix>& all) {
  std::vector<std::uint8_t> result;
  result.reserve(count * all.size() * channels);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t* image = images.data() + i * pixels * channels;
    for (const Mix& mix : all) {
      for (std::size_t channel = 0; channel < channels; ++channel) {
        std::uint32_t sum = 1U << (weight_bits - 1);
        for (std::size_t corner = 0; corner < 4; ++corner)
          sum += mix.weight[corner] * image[mix.pixel[corner] * channels + channel];
        result.push_back(static_cast<std::uint8_t>(sum >> weight_bits));
      }
    }
  }
  return result;
}

}  // namespace

std::vector<std::uint8_t> rendered(const ImageSet& set, std::size_t count, const Rendering& rendering) {
  const MapShape from = set.shape(), to = rendering.shape;
  const Size old_size{from.height, from.width}, new_size{to.height, to.width};
  const auto refuse = [&](const std::string& what) {
    throw ConfigError(fmt::format("data.name: images of {} x {} x {} cannot be brought to {} x {} x {}: {}",
                                  from.height, from.width, from.channels, to.height, to.width, to.channels,
                                  what));
  };
  if (from.channels != to.channels && from.channels != 1) refuse("only one channel can be repeated");
  const auto size = static_cast<std::ptrdiff_t>(count * from.size());
  std::vector<std::uint8_t> images(set.pixels.begin(), set.pixels.begin() + size);
  if (from.height != to.height || from.width != to.width) {
    if (rendering.fit == Fit::pad && (from.height > to.height || from.width > to.width))
      refuse("they are too large to be padded");
    const std::vector<Mix> fit =
        rendering.fit == Fit::pad ? padding(old_size, new_size) : scaling(old_size, new_size);
    images = mixed(images, count, from.height * from.width, from.channels, fit);
  }
  if (rendering.angle != 0)
    images = mixed(images, count, to.height * to.width, from.channels, rotation(new_size, rendering.angle));
  if (from.channels == to.channels) return images;
  std::vector<std::uint8_t> repeated;
  repeated.reserve(images.size() * to.channels);
  for (const std::uint8_t value : images) repeated.insert(repeated.end(), to.channels, value);
  return repeated;
}

}  // namespace orthospike
