#include "datasets/image_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>

#include "datasets/idx.hpp"
#include "datasets/permuted_tasks.hpp"
#include "kernels/error.hpp"

namespace orthospike {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view train_images = "train-images-idx3-ubyte";
constexpr std::string_view train_labels = "train-labels-idx1-ubyte";
constexpr std::string_view test_images = "t10k-images-idx3-ubyte";
constexpr std::string_view test_labels = "t10k-labels-idx1-ubyte";
constexpr std::array file_names = {train_images, train_labels, test_images, test_labels};

/// The path of the regular file `name` in `folder`, plain or with .gz. With neither, `error` says why the
/// plain one cannot be had, unless it is there and something else.
std::optional<fs::path> stored_file(const fs::path& folder, std::string_view name, std::error_code& error) {
  const fs::path plain = folder / name;
  if (fs::is_regular_file(fs::status(plain, error))) return plain;
  fs::path compressed = plain;
  compressed += ".gz";
  std::error_code ignored;
  if (fs::is_regular_file(fs::status(compressed, ignored))) return compressed;
  return std::nullopt;
}

struct NamedArray {
  std::string name;
  IdxArray array;
};

NamedArray read_array(const fs::path& folder, std::string_view name, std::size_t rank,
                      std::string_view axes) {
  std::error_code error;
  const std::optional<fs::path> path = stored_file(folder, name, error);
  if (!path) {
    const std::string reason = error ? error.message() : "Not a regular file";
    throw EnvironmentError(
        fmt::format("{}: {}, expected this file, plain or with .gz", (folder / name).string(), reason));
  }
  NamedArray result{path->string(), read_idx(*path)};
  if (result.array.shape.size() != rank) {
    throw EnvironmentError(fmt::format("{}: the rank is {}, expected {} ({})", result.name,
                                       result.array.shape.size(), rank, axes));
  }
  return result;
}

ImageSet read_image_set(const fs::path& folder, std::string_view image_file, std::string_view label_file) {
  NamedArray images = read_array(folder, image_file, 3, "image, row, column");
  NamedArray labels = read_array(folder, label_file, 1, "label");
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
  set.pixels = std::move(images.array.values);
  set.labels = std::move(labels.array.values);
  set.classes = *std::max_element(set.labels.begin(), set.labels.end()) + std::size_t{1};
  return set;
}

/// The value of an environment variable, empty when it is not set.
std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::vector<fs::path> candidate_folders(const std::string& name, const fs::path& explicit_path) {
  const std::string home = environment("HOME");
  if (!explicit_path.empty()) {
    const bool in_home = *explicit_path.begin() == "~" && !home.empty();
    const fs::path folder = in_home ? home / explicit_path.lexically_relative("~") : explicit_path;
    return {folder, folder / name};
  }
  std::vector<fs::path> folders;
  std::istringstream entries(environment("ORTHOSPIKE_DATA"));
  for (std::string entry; std::getline(entries, entry, ':');) {
    if (!entry.empty()) folders.push_back(fs::path(entry) / name);
  }
  if (!home.empty()) folders.push_back(fs::path(home) / ".local/share/orthospike" / name);
  folders.push_back(fs::path("/usr/share/datasets") / name);
  return folders;
}

}  // namespace

ImageData read_image_data(const fs::path& folder) {
  ImageData data{read_image_set(folder, train_images, train_labels),
                 read_image_set(folder, test_images, test_labels)};
  ImageSet& train = data.train;
  ImageSet& test = data.test;
  if (test.height != train.height || test.width != train.width) {
    throw EnvironmentError(
        fmt::format("{}: the test images have {} x {} pixels, expected {} x {} as in training",
                    folder.string(), test.height, test.width, train.height, train.width));
  }
  train.classes = test.classes = std::max(train.classes, test.classes);
  return data;
}

std::vector<std::uint32_t> stratified_samples(std::span<const std::uint8_t> labels, std::size_t count,
                                              const RandomKey& key) {
  constexpr std::size_t classes = std::numeric_limits<std::uint8_t>::max() + 1;
  std::array<std::size_t, classes> sizes{}, wanted{}, left_over{};
  for (const std::uint8_t label : labels) ++sizes[label];
  std::size_t missing = count;
  for (std::size_t c = 0; c < classes && !labels.empty(); ++c) {
    wanted[c] = count * sizes[c] / labels.size();
    left_over[c] = count * sizes[c] % labels.size();
    missing -= wanted[c];
  }
  std::array<std::size_t, classes> order{};
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, std::greater(), [&](std::size_t c) { return left_over[c]; });
  for (std::size_t i = 0; i < missing; ++i) ++wanted[order[i]];

  std::vector<std::uint32_t> samples;
  for (const std::uint32_t sample : shuffled_order(labels.size(), key)) {
    if (wanted[labels[sample]] == 0) continue;
    --wanted[labels[sample]];
    samples.push_back(sample);
  }
  return samples;
}

ImageData with_held_back(const ImageData& data, std::span<const std::uint32_t> numbers) {
  const auto add = [&](ImageSet& to, std::size_t number) {
    const std::size_t size = data.train.pixels_per_image();
    const auto pixels = std::span(data.train.pixels).subspan(number * size, size);
    to.pixels.insert(to.pixels.end(), pixels.begin(), pixels.end());
    to.labels.push_back(data.train.labels[number]);
    ++to.count;
  };
  const ImageSet none{.height = data.train.height,
                      .width = data.train.width,
                      .pixels = {},
                      .labels = {},
                      .classes = data.train.classes};
  ImageData result{none, none};
  std::vector<bool> held_back(data.train.count);
  for (const std::uint32_t number : numbers) {
    add(result.test, number);
    held_back[number] = true;
  }
  for (std::size_t number = 0; number < data.train.count; ++number) {
    if (!held_back[number]) add(result.train, number);
  }
  return result;
}

bool holds_image_data(const fs::path& folder) {
  return std::all_of(file_names.begin(), file_names.end(), [&folder](std::string_view name) {
    std::error_code ignored;
    return stored_file(folder, name, ignored).has_value();
  });
}

fs::path find_data_set(const std::string& name, const fs::path& explicit_path) {
  const std::vector<fs::path> folders = candidate_folders(name, explicit_path);
  const auto found = std::find_if(folders.begin(), folders.end(), holds_image_data);
  if (found != folders.end()) return *found;

  std::string places;
  for (const fs::path& folder : folders) places += (places.empty() ? "" : ", ") + folder.string();
  std::string files;
  for (const std::string_view file : file_names)
    files += fmt::format("{}{}", files.empty() ? "" : ", ", file);
  const std::string_view remedy =
      name == "fashion-mnist" ? "install Debian's package dataset-fashion-mnist and leave data.path unset"
                              : "put the four IDX files in one of these folders or set data.path";
  throw EnvironmentError(
      fmt::format("data set '{}': none of the folders {} holds its files {}, each plain or with .gz: {}",
                  name, places, files, remedy));
}

}  // namespace orthospike
