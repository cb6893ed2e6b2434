#pragma once

#include <filesystem>

#include "datasets/image_set.hpp"

namespace orthospike {

/// True when `folder` has train-images-idx3-ubyte or train-images-idx4-ubyte, train-labels-idx1-ubyte and the same for
/// t10k in place of train, each plain or with .gz.
bool holds_idx_images(const std::filesystem::path& folder);

/// Reads these files: grey images [n × height × width] of idx3, or [n × height × width × channels] of idx4, which is
/// taken where idx3 is not there. No set is empty. Throws EnvironmentError for a missing or damaged file, or when
/// ranks or counts do not fit.
ImageData read_idx_images(const std::filesystem::path& folder);

}  // namespace orthospike
