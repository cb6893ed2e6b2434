#pragma once

#include "kernels/family.hpp"

namespace orthospike {

/// y ← alpha · x + beta · y
struct Add {
  float alpha = 1;
  View<const float> x;
  float beta = 1;
  View<float> y;

  void check() const { require(x.size() == y.size(), "add", "x and y differ in size"); }
};

/// values ← max(values, bound)
struct RaiseTo {
  float bound;
  View<float> values;

  void check() const {}
};

/// y ← scale · sign(x), with sign 0 of 0
struct Sign {
  float scale = 1;
  View<const float> x;
  View<float> y;

  void check() const { require(x.size() == y.size(), "sign", "x and y differ in size"); }
};

/// x[r, i] ← factor[r, i] · x[r, i], or factor[r, 0] · x[r, i] where factor has one column.
struct Modulate {
  ConstMatrix factor;
  Matrix x;

  void check() const {
    require(factor.rows == x.rows && (factor.cols == x.cols || factor.cols == 1), "modulate",
            "factor has other rows, or neither one column nor those of x");
  }
  bool empty() const { return x.empty(); }
};

/// Each row of y ← that of x divided by its Euclidean norm; 0 where that is 0.
struct NormaliseRows {
  ConstMatrix x;
  Matrix y;  ///< may be x

  void check() const { require(same_shape(x, y), "normalise_rows", "x and y differ in shape"); }
  bool empty() const { return y.empty(); }
};

struct Elementwise : Family<Add, RaiseTo, Sign, Modulate, NormaliseRows> {
  using Family::Family;
};

}  // namespace orthospike
