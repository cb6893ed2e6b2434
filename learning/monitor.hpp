#pragma once

#include <vector>

#include "learning/measure.hpp"
#include "learning/trainer.hpp"

namespace orthospike {

/// What is measured of one projection at the end of a task.
struct ProjectionReport {
  std::uint32_t rank = 0;
  double orthonormality_error = 0;  ///< see SubspaceQuality; the sample is that of all tasks so far
  double largest_eigenvalue = 0;
  /// ‖x hᵀ h‖² / ‖x‖² of the sample x and subspace rows h; without rows the part of its energy that the
  /// protection takes, 1 - x·P(x) / ‖x‖², which is the same for orthonormal rows. NaN without protection.
  double explained_energy = 0;
  double mean_angle = 0;
  double largest_angle = 0;
  /// ‖ΔW x_old‖ / (‖ΔW‖ ‖x_old‖), ΔW: all of this task's change, x_old: activity sampled in earlier tasks.
  /// NaN in the first task, and of a read-out that no other task has.
  double leak = 0;
  double effective_rank = 0;  ///< see Protection, as is memory
  double memory = 0;
};

/// All that is measured of a projection.
const std::vector<Measure<ProjectionReport>>& projection_measures();

/// Samples each task's presynaptic activity and measures with it how good the subspaces are and how much the
/// change of weights disturbs earlier tasks. Only reads what it watches.
///
/// Of the samples x of all tasks so far it keeps C = xᵀ x, from which all follows but one: ‖ΔW x‖² is
/// tr(ΔWᵀ C ΔW), and Σ x·P(x) of a linear operator P is tr(P C). What it keeps and what a task costs do not grow with
/// the tasks. Only where the operator is not linear, x itself is kept too.
class Monitor {
 public:
  /// samples: of each task, or all where it has fewer; 0 measures nothing and every number is NaN. tasks: how many will
  /// be ended.
  Monitor(Trainer& trainer, std::size_t samples, std::size_t tasks);

  /// Before the first batch of a task.
  void begin_task();
  /// After the last batch and the trainer's end of the task, whose training samples these are. One report a projection.
  std::vector<ProjectionReport> end_task(const ShownImages& images, View<const std::uint32_t> samples);
  void state(Archive& archive);

 private:
  struct Watched {
    Array<float> moment;          ///< [presynaptic × presynaptic] C
    Array<float> activity;        ///< [tasks·samples·places × presynaptic] x, empty where C is enough
    Array<float> weights_before;  ///< at the start of the task
  };

  /// Whether the activity of the task that ends matters: to what protects, or to the leak of later tasks.
  bool samples_matter();
  /// Adds the activity of the task's first samples.
  void add_activity(const ShownImages& images, View<const std::uint32_t> samples);
  /// Of what was kept so far, those of a projection.
  std::size_t kept_rows(std::size_t projection) const;
  ConstMatrix moment(std::size_t projection) const;
  /// ‖x‖²
  double energy(std::size_t projection);
  double leak(std::size_t projection);
  /// See ProjectionReport::explained_energy.
  double energy_taken(std::size_t projection);
  /// Σ x·P(x) from each x.
  double energy_left(PresynapticOperator& protect, ConstMatrix x);

  Trainer& trainer_;
  Backend& backend_;
  std::size_t samples_;
  std::size_t tasks_;
  std::size_t ended_ = 0;         ///< tasks so far
  std::size_t kept_ = 0;          ///< samples so far
  std::vector<Watched> watched_;  ///< of projections that tasks share
};

}  // namespace orthospike
