#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace orthospike {

/// The most elements one IDX file may declare: 4 GiB of unsigned bytes.
inline constexpr std::uint64_t idx_largest_size = std::uint64_t{4} << 30;

/// An IDX array of unsigned bytes: `shape` outermost first (rank 1 to 4, no zero), `values` row-major.
struct IdxArray {
  std::vector<std::size_t> shape;
  std::vector<std::uint8_t> values;
};

/// Reads `path`, plain or gzip; memory grows with the data that is there, not with what the header declares.
/// Throws EnvironmentError naming the file, the byte offset (after decompression) and what was expected.
/// As gzip(1) does, it ignores bytes after the end of a gzip stream that start no other one.
IdxArray read_idx(const std::filesystem::path& path);

}  // namespace orthospike
