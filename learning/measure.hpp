#pragma once

#include <cstdint>
#include <variant>

namespace orthospike {

/// A number of Row that run.h5 holds: from one list of these come the data sets with their attributes, what reads them,
/// and the columns of `inspect`.
template <class Row>
struct Measure {
  using Member = std::variant<double Row::*, std::uint32_t Row::*, std::uint64_t Row::*>;
  /// How `inspect` shows it: factor times the value.
  struct Column {
    const char* heading = nullptr;  ///< null where it shows none
    int width = 0;
    const char* format = nullptr;  ///< of fmt, for a double
    double factor = 1;
  };

  const char* name;  ///< of the data set
  Member member;
  const char* unit;        ///< "" where there is none
  const char* definition;  ///< in words
  Column column = {};
  bool always_written = true;  ///< files of earlier versions may lack others

  double value(const Row& row) const {
    return std::visit([&](auto pointer) { return static_cast<double>(row.*pointer); }, member);
  }
};

}  // namespace orthospike
