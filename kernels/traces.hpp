#pragma once

#include "kernels/family.hpp"

namespace orthospike {

// Rows are ordered step · batch + sample.

/// Low-pass traces in place: x[t] ← x[t] + decay · x[t - 1], where x[-1] is `last`, which then gets the last step's.
struct Filter {
  float decay;
  std::size_t steps;
  Matrix x;     ///< [steps·batch × n]
  Matrix last;  ///< [batch × n]

  void check() const {
    require(x.rows == steps * last.rows && x.cols == last.cols, "filter", "x is not [steps·batch × n]");
  }
  bool empty() const { return x.empty(); }
};

/// The same from the last step to the first: x[t] ← x[t] + decay · x[t + 1], 0 after the last.
struct FilterBack {
  float decay;
  std::size_t steps;
  Matrix x;  ///< [steps·batch × n]

  void check() const {
    require(steps > 0 && x.rows % steps == 0, "filter_back", "x is not [steps·batch × n]");
  }
  bool empty() const { return x.empty(); }
};

/// sum ← scale · Σ_t (1 + decay + … + decay^t) · x[t], t from 0: what a trace of a constant weighs.
struct SumSteps {
  float scale = 1;
  float decay = 0;
  std::size_t steps;
  ConstMatrix x;  ///< [steps·batch × n]
  Matrix sum;     ///< [batch × n]

  void check() const {
    require(x.rows == steps * sum.rows && x.cols == sum.cols, "sum_steps", "x is not [steps·batch × n]");
  }
  bool empty() const { return sum.empty(); }
};

struct Traces : Family<Filter, FilterBack, SumSteps> {
  using Family::Family;
};

}  // namespace orthospike
