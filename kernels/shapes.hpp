#pragma once

#include "kernels/array.hpp"

namespace orthospike {

/// Throws std::invalid_argument with the operation's name unless the condition holds.
void require(bool holds, const char* operation, const char* what);

inline bool same_shape(ConstMatrix a, ConstMatrix b) {
  return a.rows == b.rows && a.cols == b.cols;
}

/// As counted multiply-adds.
inline double product(std::size_t a, std::size_t b, std::size_t c) {
  return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
}

}  // namespace orthospike
