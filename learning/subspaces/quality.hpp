#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace orthospike {

/// How well the rows h [rank × n] of a subspace hold what a sample x [N × n] of presynaptic activity uses.
struct SubspaceQuality {
  double orthonormality_error = 0;  ///< ‖h hᵀ - I‖, Frobenius
  /// Of h hᵀ; 1 when the rows are orthonormal. x - x hᵀ h multiplies what x has along the eigenvector by 1 minus
  /// it: above 1 the sign turns, above 2 the size grows too.
  double largest_eigenvalue = 0;
  double explained_energy = 0;  ///< ‖x hᵀ h‖² / ‖x‖²
  double mean_angle = 0;        ///< degrees: mean of the principal angles between the row space of h
  double largest_angle = 0;  ///< and the span of the `rank` leading eigenvectors of xᵀ x; the largest of them
};

/// All but explained_energy are NaN for rank 0; it and the angles are NaN for a silent sample. Neurons that are silent
/// in all of x bring no eigenvectors: where fewer than `rank` fire, there are as few angles. second_moment: xᵀ x
/// [n × n]; rank ≤ n. Throws EnvironmentError, which names the projection, when a factorisation does not converge
/// (the numbers are not finite).
SubspaceQuality measure_subspace(const std::string& projection, std::span<const float> h, std::size_t rank,
                                 std::span<const float> second_moment, std::size_t n);

}  // namespace orthospike
