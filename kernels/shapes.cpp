#include "kernels/shapes.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace orthospike {

void require(bool holds, const char* operation, const char* what) {
  if (!holds) throw std::invalid_argument(fmt::format("{}: {}", operation, what));
}

}  // namespace orthospike
