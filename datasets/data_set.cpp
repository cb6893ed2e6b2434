#include "datasets/data_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/algorithm/string.hpp>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <string_view>
#include <utility>

#include "datasets/idx_images.hpp"
#include "kernels/error.hpp"

namespace orthospike {
namespace {

namespace fs = std::filesystem;

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

/// Number of classes: 1 + the largest label. Treats gaps as the settings say.
void set_classes(const fs::path& folder, DataSettings::Gaps gaps, ImageData& data) {
  constexpr std::size_t labels = std::numeric_limits<std::uint8_t>::max() + 1;
  std::array<bool, labels> is_there{};
  for (const std::uint8_t label : data.train.labels) is_there[label] = true;
  for (const std::uint8_t label : data.test.labels) {
    if (!is_there[label]) {
      throw EnvironmentError(fmt::format(
          "{}: a test image has label {}, expected one that a training image has", folder.string(), label));
    }
  }
  const std::size_t classes = std::ranges::max(data.train.labels) + std::size_t{1};
  const auto end = is_there.begin() + static_cast<std::ptrdiff_t>(classes);
  const auto gap = std::find(is_there.begin(), end, false);
  data.train.classes = data.test.classes = classes;
  if (gap == end) return;
  if (gaps == DataSettings::Gaps::refuse) {
    throw EnvironmentError(fmt::format(
        "{}: no image has label {}, expected all labels up to the largest, {}; with data.label_gaps = "
        "remap those that are there are counted from 0",
        folder.string(), gap - is_there.begin(), classes - 1));
  }
  std::array<std::uint8_t, labels> number{};
  std::uint8_t next = 0;
  for (std::size_t label = 0; label < classes; ++label) number[label] = is_there[label] ? next++ : 0;
  for (ImageSet* set : {&data.train, &data.test}) {
    for (std::uint8_t& label : set->labels) label = number[label];
    set->classes = next;
  }
}

}  // namespace

std::vector<std::string> DataSettings::names() const {
  std::vector<std::string> names;
  boost::split(names, name, boost::is_any_of(","));
  for (std::string& each : names) {
    boost::trim(each);
    if (each.empty())
      throw ConfigError("data.name: expected the name of a data set, or several separated by commas");
  }
  return names;
}

void DataSettings::describe(SettingsVisitor& visit) {
  visit(
      "data.name", name,
      "Data set to look for: a folder of IDX or CIFAR files such as mnist or fashion-mnist; of joined tasks several, "
      "separated by commas.");
  visit(
      "data.path", path,
      "Folder that holds the data set or its files, ~/… in the home folder; empty searches ORTHOSPIKE_DATA, "
      "~/.local/share/orthospike and /usr/share/datasets.");
  visit("data.labels", labels,
        {{"fine", CifarLabels::fine, ""}, {"coarse", CifarLabels::coarse, "the 20 groups of CIFAR-100"}},
        "Which labels, where images have two");
  visit("data.label_gaps", label_gaps,
        {{"refuse", Gaps::refuse, ""},
         {"remap", Gaps::remap, "count the labels that are there from 0, in their order"}},
        "What to do where labels are left out");
  visit("data.scaling", scaling,
        {{"common", Scaling::common, "data.mean and data.deviation"},
         {"each", Scaling::each, "each data set's own, of its training samples in all tasks"}},
        "Mean and standard deviation by which pixels are scaled");
  visit.only(scaling == Scaling::common, "data.scaling common", [&] {
    visit(
        "data.mean", mean, "auto", any_number, "-",
        "Mean pixel that is subtracted, of pixels scaled to 0 … 1; auto: that of the training samples of all tasks, "
        "as they are in their data sets, before they are padded or turned.");
    visit("data.deviation", deviation, "auto", positive, "-",
          "Standard deviation that pixels are divided by; auto: as the mean.");
  });
  if (scaling == Scaling::each) mean = deviation = std::nullopt;
}

bool holds_image_data(const fs::path& folder) {
  return holds_idx_images(folder) || holds_cifar(folder);
}

fs::path find_data_set(const std::string& name, const fs::path& explicit_path) {
  const std::vector<fs::path> folders = candidate_folders(name, explicit_path);
  const auto found = std::find_if(folders.begin(), folders.end(), holds_image_data);
  if (found != folders.end()) return *found;

  std::string places;
  for (const fs::path& folder : folders) places += (places.empty() ? "" : ", ") + folder.string();
  const std::string_view remedy =
      name == "fashion-mnist" ? "install Debian's package dataset-fashion-mnist and leave data.path unset"
                              : "put the files into one of these folders or set data.path";
  throw EnvironmentError(fmt::format(
      "data set '{}': none of the folders {} holds train-images-idx3-ubyte (or idx4, with channels), "
      "train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, or the .bin files of CIFAR-10 or "
      "CIFAR-100, each plain or with .gz: {}",
      name, places, remedy));
}

ImageData read_image_data(const fs::path& folder, const DataSettings& settings) {
  ImageData data = holds_cifar(folder) && !holds_idx_images(folder) ? read_cifar(folder, settings.labels)
                                                                    : read_idx_images(folder);
  const MapShape train = data.train.shape(), test = data.test.shape();
  if (test != train) {
    const auto text = [](const MapShape& shape) {
      return shape.channels == 1 ? fmt::format("{} x {}", shape.height, shape.width)
                                 : fmt::format("{} x {} x {}", shape.height, shape.width, shape.channels);
    };
    throw EnvironmentError(fmt::format("{}: the test images have {} pixels, expected {} as in training",
                                       folder.string(), text(test), text(train)));
  }
  set_classes(folder, settings.label_gaps, data);
  return data;
}

std::vector<ImageData> read_data_sets(const DataSettings& settings) {
  const std::vector<std::string> names = settings.names();
  const bool by_name = names.size() > 1 && !settings.path.empty();
  std::vector<ImageData> sets;
  for (const std::string& name : names) {
    const fs::path path = by_name ? fs::path(settings.path) / name : fs::path(settings.path);
    sets.push_back(read_image_data(find_data_set(name, path), settings));
    sets.back().name = name;
  }
  return sets;
}

}  // namespace orthospike
