#pragma once

#include <vector>

#include "learning/trainer.hpp"

namespace orthospike {

/// What is measured of one projection at the end of a task.
struct ProjectionReport {
  std::size_t rank = 0;
  double orthonormality_error = 0;  ///< see SubspaceQuality; the sample is that of all tasks so far
  double largest_eigenvalue = 0;
  /// ‖x hᵀ h‖² / ‖x‖² of the sample x and subspace rows h; without rows the part of its energy that the
  /// protection takes, 1 - x·P(x) / ‖x‖², which is the same for orthonormal rows. NaN without protection.
  double explained_energy = 0;
  double mean_angle = 0;
  double largest_angle = 0;
  /// ‖ΔW x_old‖ / (‖ΔW‖ ‖x_old‖), ΔW: all of this task's change, x_old: activity kept from earlier tasks.
  /// NaN in the first task.
  double leak = 0;
  double effective_rank = 0;  ///< see Protection, as is memory
  double memory = 0;
};

/// Keeps a sample of each task's presynaptic activity and measures with it how good the subspaces are and how
/// much the change of weights disturbs earlier tasks. Only reads what it watches.
class Monitor {
 public:
  /// samples: kept of each task; 0 measures nothing and every number is NaN.
  Monitor(Trainer& trainer, std::size_t samples, std::size_t tasks);

  /// Before the first batch of a task.
  void begin_task();
  /// After the last batch and the trainer's end of the task. One report a projection.
  std::vector<ProjectionReport> end_task(const StoredImages& images, View<const std::uint32_t> pixel_order);

 private:
  /// Appends the activity of the task's first samples.
  void keep_activity(const StoredImages& images, View<const std::uint32_t> pixel_order);
  double leak(std::size_t projection);
  /// See ProjectionReport::explained_energy.
  double energy_taken(std::size_t projection);

  struct Watched {
    Array<float> activity;        ///< [tasks·samples × source neurons]
    Array<float> weights_before;  ///< at the start of the task
  };

  Trainer& trainer_;
  Backend& backend_;
  std::size_t samples_;
  std::size_t kept_ = 0;  ///< rows of activity in use
  std::vector<Watched> watched_;
  Array<std::uint32_t> numbers_;  ///< 0, 1, 2, …
};

}  // namespace orthospike
