#pragma once

#include "sim/connections/pairs.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {

/// traceᵀ · post
inline std::vector<double> summed(Backend& backend, const Pairs& pairs) {
  REQUIRE(pairs.trace.rows == pairs.post.rows);
  const std::vector<float> trace = backend.download(pairs.trace.values);
  const std::vector<float> post = backend.download(pairs.post.values);
  const std::size_t sources = pairs.trace.cols, targets = pairs.post.cols;
  std::vector<double> sum(sources * targets, 0.0);
  for (std::size_t row = 0; row < pairs.trace.rows; ++row) {
    for (std::size_t i = 0; i < sources; ++i) {
      for (std::size_t j = 0; j < targets; ++j) {
        sum[i * targets + j] += static_cast<double>(trace[row * sources + i]) * post[row * targets + j];
      }
    }
  }
  return sum;
}

}  // namespace orthospike::testing
