#pragma once

#include "kernels/family.hpp"

namespace orthospike {

// A subspace is h [rank × n], one subspace neuron a row.

/// residual ← x - (x hᵀ) h; x and residual [rows × n] may be the same matrix.
struct RemoveSubspace {
  ConstMatrix h;
  ConstMatrix x;
  Matrix residual;

  void check() const {
    require(same_shape(x, residual) && h.cols == x.cols, "remove_subspace", "shapes do not chain");
  }
  double multiply_adds() const { return 2 * product(x.rows, h.rows, x.cols); }
};

/// Constants of a step of Hebbian learning with momentum and clamping (lateral_hebbian.hpp gives the equations).
struct HebbianRates {
  float learning_rate = 0;
  float momentum = 0;  ///< part of the old velocity that is kept
  float scale = 0;     ///< multiplies the correlation before clamping: 1 / rows of the batch
  float clamp = 0;     ///< bound on the magnitude of each scaled correlation
};

/// velocity ← momentum · velocity + (1 - momentum) · clamp(scale · correlation); h ← h + learning_rate · velocity.
/// All are [rank × n].
struct FollowCorrelation {
  HebbianRates rates;
  ConstMatrix correlation;
  Matrix velocity;
  Matrix h;

  void check() const {
    require(same_shape(correlation, velocity) && same_shape(correlation, h), "follow_correlation",
            "correlation, velocity and weights differ in shape");
  }
  bool empty() const { return h.empty(); }
};

/// FollowCorrelation with correlation = responseᵀ · residual.
struct HebbianStep {
  HebbianRates rates;
  ConstMatrix response;  ///< [rows × rank]
  ConstMatrix residual;  ///< [rows × n]
  Matrix velocity;
  Matrix h;

  void check() const {
    require(response.rows == residual.rows && response.cols == h.rows && residual.cols == h.cols,
            "hebbian_step", "responses and residuals do not fit the weights");
    require(same_shape(velocity, h), "hebbian_step", "velocity and weights differ in shape");
  }
  double multiply_adds() const { return product(response.rows, h.rows, h.cols); }
  bool empty() const { return h.empty(); }
};

/// Makes rows first… of h orthonormal among themselves and orthogonal to the rows before, which stay untouched
/// (classical Gram-Schmidt, twice). They must be linearly independent of them.
struct OrthonormaliseRows {
  Matrix h;
  std::size_t first = 0;

  void check() const {
    require(first <= h.rows && h.rows <= h.cols, "orthonormalise_rows", "more rows than columns");
  }
};

struct SubspaceSteps : Family<RemoveSubspace, FollowCorrelation, HebbianStep, OrthonormaliseRows> {
  using Family::Family;
};

}  // namespace orthospike
