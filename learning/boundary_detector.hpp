#pragma once

#include <vector>

#include "kernels/backend.hpp"
#include "learning/communicator.hpp"
#include "sim/archive.hpp"
#include "sim/connections/pairs.hpp"
#include "sim/settings.hpp"

namespace orthospike {

struct BoundarySettings {
  std::size_t neurons = 32;   ///< k: directions that are watched
  float lambda = 0.1F;        ///< energy from which a direction counts as used; the mean direction has 1
  std::size_t smoothing = 4;  ///< updates of the fast average
  float threshold = 6.0F;     ///< standard deviations of that average
  std::size_t distance = 20;  ///< fewest updates between two boundaries

  void describe(SettingsVisitor& visit);
};

/// Suspects that a task begins when the residual energy of presynaptic activity jumps. Batches X [B × n] are seen
/// through k fixed random directions, Y = X R; M = YᵀY scaled to mean eigenvalue 1. S is the mean of M over the
/// batches since the last boundary. Of the next batch, before it enters S, the residual
///   r = tr((I + S / lambda)^-1 M) / k
/// is what leaky inhibition by S would leave. z = √B (r - mean) / deviation, with the mean of r and the deviation
/// of √B (r - mean) since the boundary (without the first distance / 2 batches, of a rough S), goes into the fast
/// average f ← f + (z - f) / smoothing from batch `distance` on, and a boundary is suspected where
///   f √(2 smoothing - 1) > threshold,
/// f of independent z having the inverse of that root as its deviation. It costs B n k multiply-adds a batch and a
/// wait for k² numbers. It is blind to tasks that differ in their labels only, and takes any lasting change of the
/// input for a task.
class BoundaryDetector {
 public:
  /// max_rows: of activity.
  BoundaryDetector(Backend& backend, std::size_t inputs, std::size_t max_rows, std::uint64_t seed,
                   const BoundarySettings& settings, Communicator& ranks = alone());

  /// Whether a task seems to begin with this batch, activity [B × n], of which each rank has some rows.
  bool begins_with(const Presynaptic& activity);
  void state(Archive& archive);

 private:
  /// M of a batch, [k × k]; empty when it is silent.
  std::vector<double> moment_of(ConstMatrix activity);
  void start_afresh();

  Backend& backend_;
  BoundarySettings settings_;
  Communicator& ranks_;
  Array<float> directions_;  ///< [n × k] R
  Array<float> responses_;   ///< [most rows × k] Y
  Array<float> moment_;      ///< [k × k]
  // Since the last boundary:
  std::vector<double> used_;   ///< [k × k] S
  double mean_ = 0;            ///< of r
  double squares_ = 0;         ///< Σ B (r - mean)²
  double fast_ = 0;            ///< f
  std::size_t batches_ = 0;    ///< in S
  std::size_t residuals_ = 0;  ///< in mean and squares
};

}  // namespace orthospike
