#pragma once

#include "kernels/family.hpp"

namespace orthospike {

/// c ← alpha · op(a) · op(b) + beta · addend, where op transposes or not. The addend, c itself where none is given,
/// need not hold numbers with beta 0.
struct Multiply {
  float alpha = 1;
  ConstMatrix a;
  bool transpose_a = false;
  ConstMatrix b;
  bool transpose_b = false;
  float beta = 0;
  ConstMatrix addend = {};
  Matrix c;

  /// Of the sums that elements of the product are.
  std::size_t terms() const { return transpose_a ? a.rows : a.cols; }
  bool adds_other() const { return beta != 0.0F && !addend.empty() && addend.address() != c.address(); }
  void check() const {
    require((transpose_a ? a.cols : a.rows) == c.rows && (transpose_b ? b.rows : b.cols) == c.cols &&
                terms() == (transpose_b ? b.cols : b.rows) && (addend.empty() || same_shape(addend, c)),
            "multiply", "shapes do not chain");
  }
  double multiply_adds() const { return product(c.rows, c.cols, terms()); }
  bool empty() const { return c.empty(); }
};

/// sum ← alpha · xᵀ x + beta · sum in the lower triangle of sum [n × n], its diagonal included; the rest of it may then
/// hold anything. Half the work of a product.
struct AddMoment {
  float alpha = 1;
  ConstMatrix x;  ///< [rows × n]
  float beta = 0;
  Matrix sum;

  void check() const {
    require(sum.rows == sum.cols && x.cols == sum.cols, "add_moment", "the sum is not [n × n]");
  }
  double multiply_adds() const { return product(sum.rows, sum.cols + 1, x.rows) / 2; }
  bool empty() const { return sum.empty(); }
};

/// matrix[i, j] ← matrix[j, i] for j > i: of what AddMoment leaves, all.
struct MirrorLower {
  Matrix matrix;  ///< [n × n]

  void check() const { require(matrix.rows == matrix.cols, "mirror_lower", "the matrix is not square"); }
  bool empty() const { return matrix.empty(); }
};

/// b ← aᵀ
struct Transpose {
  ConstMatrix a;
  Matrix b;

  void check() const {
    require(a.rows == b.cols && a.cols == b.rows, "transpose", "the result has not the transposed shape");
  }
  bool empty() const { return a.empty(); }
};

struct DenseProducts : Family<Multiply, AddMoment, MirrorLower, Transpose> {
  using Family::Family;
};

}  // namespace orthospike
