#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "datasets/image_set.hpp"

namespace orthospike {

/// Records of one file in the CIFAR binary format: label bytes, then the 32 × 32 red, green and blue bytes.
struct CifarRecords {
  std::size_t count = 0;
  std::size_t label_bytes = 0;       ///< a record: 1, or 2, the coarse label first
  std::vector<std::uint8_t> labels;  ///< [count × label_bytes]
  std::vector<std::uint8_t> pixels;  ///< [count × 32 × 32 × 3]
};

/// Reads `path`, plain or gzip, with label_bytes 1 or 2. Throws EnvironmentError naming the file and what was expected
/// for files that are empty, damaged, above 4 GiB, or no whole number of records.
CifarRecords read_cifar_records(const std::filesystem::path& path, std::size_t label_bytes);

/// Which of two labels.
enum class CifarLabels { fine, coarse };

/// True when `folder` has data_batch_1.bin … data_batch_5.bin and test_batch.bin (CIFAR-10), or train.bin and test.bin
/// (CIFAR-100, or such files with one label byte), each plain or with .gz.
bool holds_cifar(const std::filesystem::path& folder);

/// Reads these files. Whether records of train.bin and test.bin have one label or two is what the sizes of both allow.
/// Throws EnvironmentError as read_cifar_records does, for a missing file and where sizes allow both or neither;
/// ConfigError where coarse labels are asked of records that have one label.
ImageData read_cifar(const std::filesystem::path& folder, CifarLabels labels);

}  // namespace orthospike
