#pragma once

#include <array>
#include <cstdint>

namespace orthospike {

/// For each mask of eight lanes the numbers of those that are set, in order, then zeros.
///
/// Highway 1.0's Compress has such a table where instruction sets have no instruction for it, but as a local constant,
/// which g++ 12 copies at each call.
inline constexpr auto packed_lanes = [] {
  std::array<std::array<std::uint8_t, 8>, 256> table{};
  for (unsigned mask = 0; mask < table.size(); ++mask) {
    unsigned count = 0;
    for (std::uint8_t lane = 0; lane < 8; ++lane) {
      if ((mask >> lane & 1U) != 0) table[mask][count++] = lane;
    }
  }
  return table;
}();

}  // namespace orthospike
