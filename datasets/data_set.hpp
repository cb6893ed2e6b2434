#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "datasets/cifar.hpp"
#include "datasets/image_set.hpp"
#include "sim/settings.hpp"

namespace orthospike {

struct DataSettings {
  /// What to do with labels that leave gaps: classes without an image.
  enum class Gaps { refuse, remap };
  /// Whose mean and deviation pixels are scaled by.
  enum class Scaling { common, each };

  std::string name = "mnist";
  std::string path;
  CifarLabels labels = CifarLabels::fine;
  Gaps label_gaps = Gaps::refuse;
  Scaling scaling = Scaling::common;
  /// Of pixels from 0 to 1; none: of the training samples, as the deviation, and where each data set has its own.
  std::optional<float> mean = 0.1307F;
  std::optional<float> deviation = 0.3081F;

  /// The names in `name`, which commas separate. Throws ConfigError where one is empty.
  std::vector<std::string> names() const;
  void describe(SettingsVisitor& visit);
};

/// True when `folder` holds a data set in one of the known formats: the IDX files of MNIST, or the binary files of
/// CIFAR-10 or CIFAR-100, each file plain or with .gz.
bool holds_image_data(const std::filesystem::path& folder);

/// The first folder that holds a data set: `explicit_path`, where ~ stands for $HOME, or its subfolder `name`, if given;
/// otherwise E/`name` for each E in $ORTHOSPIKE_DATA (colon-separated), $HOME/.local/share/orthospike/`name`, or
/// /usr/share/datasets/`name`. Throws EnvironmentError listing these places and how to get the files.
std::filesystem::path find_data_set(const std::string& name, const std::filesystem::path& explicit_path);

/// Reads the data set in `folder`. No set is empty. Throws EnvironmentError for a missing or damaged file, when ranks,
/// counts or image shapes do not fit, when a label of the test images is none of the training images, or when labels
/// leave gaps that are refused; remapped labels count the classes that are there from 0, in their order.
/// ConfigError as read_cifar does.
ImageData read_image_data(const std::filesystem::path& folder, const DataSettings& settings);

/// The data sets that the settings name. Where they are several, each is in a subfolder of data.path, if given.
std::vector<ImageData> read_data_sets(const DataSettings& settings);

}  // namespace orthospike
