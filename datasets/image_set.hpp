#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "kernels/random.hpp"

namespace orthospike {

/// Grey images with labels. `pixels` is [count × height·width] row-major, `labels` is [count].
/// `classes` is at least 1 and above every label.
struct ImageSet {
  std::size_t count = 0;
  std::size_t height = 0;
  std::size_t width = 0;
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> labels;
  std::size_t classes = 1;

  std::size_t pixels_per_image() const { return height * width; }
};

/// Training and test images of equal size, with the same `classes`: 1 + the largest label of both.
struct ImageData {
  ImageSet train;
  ImageSet test;
};

/// Reads train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte,
/// each plain or with .gz, from `folder`. No set is empty.
/// Throws EnvironmentError for a missing or damaged file, or when ranks, counts or image sizes do not fit.
ImageData read_image_data(const std::filesystem::path& folder);

/// Numbers of `count` of the samples with these labels, drawn by `key` without replacement, of each class in proportion to
/// its share: a class of n of N samples has ⌊count · n / N⌋, or one more where most is left over. In random order.
/// count <= labels.size() < 2^32.
std::vector<std::uint32_t> stratified_samples(std::span<const std::uint8_t> labels, std::size_t count,
                                              const RandomKey& key);

/// The training images with these numbers in place of the test images, in this order, and no longer for training: to
/// choose settings without a look at the test images. Each number once.
ImageData with_held_back(const ImageData& data, std::span<const std::uint32_t> numbers);

/// True when `folder` has those four files, each plain or with .gz.
bool holds_image_data(const std::filesystem::path& folder);

/// The first folder with the four files: `explicit_path`, where ~ stands for $HOME, or its subfolder `name`, if given;
/// otherwise E/`name` or E for each E in $ORTHOSPIKE_DATA (colon-separated), $HOME/.local/share/orthospike/`name`, or
/// /usr/share/datasets/`name`. Throws EnvironmentError listing these places and how to get the files.
std::filesystem::path find_data_set(const std::string& name, const std::filesystem::path& explicit_path);

}  // namespace orthospike
