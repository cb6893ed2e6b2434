#include "datasets/idx_images.hpp"

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "datasets/idx.hpp"
#include "datasets/stored_file.hpp"
#include "kernels/error.hpp"

namespace orthospike {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 2> parts = {"train", "t10k"};

bool holds(const fs::path& folder, const std::string& name) {
  std::error_code ignored;
  return stored_file(folder, name, ignored).has_value();
}

std::string images_name(std::string_view part, int rank) {
  return fmt::format("{}-images-idx{}-ubyte", part, rank);
}

std::string labels_name(std::string_view part) {
  return fmt::format("{}-labels-idx1-ubyte", part);
}

struct NamedArray {
  std::string name;
  IdxArray array;
};

NamedArray read_array(const fs::path& folder, const std::string& name, std::size_t rank,
                      std::string_view axes) {
  const fs::path path = required_file(folder, name);
  NamedArray result{path.string(), read_idx(path)};
  if (result.array.shape.size() != rank) {
    throw EnvironmentError(fmt::format("{}: the rank is {}, expected {} ({})", result.name,
                                       result.array.shape.size(), rank, axes));
  }
  return result;
}

ImageSet read_part(const fs::path& folder, std::string_view part) {
  const bool has_channels = !holds(folder, images_name(part, 3)) && holds(folder, images_name(part, 4));
  NamedArray images = has_channels
                          ? read_array(folder, images_name(part, 4), 4, "image, row, column, channel")
                          : read_array(folder, images_name(part, 3), 3, "image, row, column");
  NamedArray labels = read_array(folder, labels_name(part), 1, "label");
  const std::vector<std::size_t>& shape = images.array.shape;
  if (labels.array.shape[0] != shape[0]) {
    throw EnvironmentError(
        fmt::format("{}: the number of labels is {}, expected {}, one for each image of {}", labels.name,
                    labels.array.shape[0], shape[0], images.name));
  }
  ImageSet set;
  set.count = shape[0];
  set.height = shape[1];
  set.width = shape[2];
  set.channels = has_channels ? shape[3] : 1;
  set.pixels = std::move(images.array.values);
  set.labels = std::move(labels.array.values);
  return set;
}

}  // namespace

bool holds_idx_images(const fs::path& folder) {
  for (const std::string_view part : parts) {
    const bool has_images = holds(folder, images_name(part, 3)) || holds(folder, images_name(part, 4));
    if (!has_images || !holds(folder, labels_name(part))) return false;
  }
  return true;
}

ImageData read_idx_images(const fs::path& folder) {
  ImageSet train = read_part(folder, parts[0]);
  return {std::move(train), read_part(folder, parts[1])};
}

}  // namespace orthospike
