#pragma once

#include "learning/rules/rule.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {

/// traceᵀ · post
inline std::vector<double> summed(Backend& backend, const WeightGradient& gradient) {
  REQUIRE(gradient.trace.rows == gradient.post.rows);
  const std::vector<float> trace = backend.download(gradient.trace.values);
  const std::vector<float> post = backend.download(gradient.post.values);
  const std::size_t sources = gradient.trace.cols, targets = gradient.post.cols;
  std::vector<double> sum(sources * targets, 0.0);
  for (std::size_t row = 0; row < gradient.trace.rows; ++row) {
    for (std::size_t i = 0; i < sources; ++i) {
      for (std::size_t j = 0; j < targets; ++j) {
        sum[i * targets + j] += static_cast<double>(trace[row * sources + i]) * post[row * targets + j];
      }
    }
  }
  return sum;
}

}  // namespace orthospike::testing
