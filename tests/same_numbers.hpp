#pragma once

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <string>
#include <variant>
#include <vector>

#include "sim/hdf5_file.hpp"

namespace orthospike::testing {

/// By bits, for NaN is where nothing was measured.
inline bool same_bits(const Hdf5Values& a, const Hdf5Values& b) {
  return std::visit(
      [&]<class T>(const std::vector<T>& left) {
        const auto* const right = std::get_if<std::vector<T>>(&b);
        return right != nullptr && left.size() == right->size() &&
               (left.empty() || std::memcmp(left.data(), right->data(), left.size() * sizeof(T)) == 0);
      },
      a);
}

/// Numeric data sets that two HDF5 files have not in common, but for those that say what a run took of time and memory.
inline std::vector<std::string> different_numbers(const std::filesystem::path& a,
                                                  const std::filesystem::path& b) {
  const Hdf5File left = Hdf5File::open(a), right = Hdf5File::open(b);
  const std::vector<std::string> ours = left.numeric_objects("/"), theirs = right.numeric_objects("/");
  std::vector<std::string> different, common;
  std::ranges::set_symmetric_difference(ours, theirs, std::back_inserter(different));
  std::ranges::set_intersection(ours, theirs, std::back_inserter(common));
  for (const std::string& object : common) {
    if (object == "/costs/seconds" || object == "/costs/peak_memory") continue;
    if (left.shape(object) != right.shape(object) ||
        !same_bits(left.read_values(object), right.read_values(object)))
      different.push_back(object);
  }
  return different;
}

}  // namespace orthospike::testing
