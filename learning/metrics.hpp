#pragma once

#include <cstddef>
#include <vector>

#include "sim/archive.hpp"

namespace orthospike {

/// R[i][j]: accuracy on task j after training task i, both counted from 1, row 0 before any training. NaN
/// where nothing was evaluated. Each measure below is "after k tasks", 1 ≤ k ≤ tasks, and takes rows 0 … k
/// only.
class AccuracyMatrix {
 public:
  explicit AccuracyMatrix(std::size_t tasks);

  std::size_t tasks() const { return tasks_; }
  double& at(std::size_t after, std::size_t task) { return values_[after * tasks_ + task - 1]; }
  double at(std::size_t after, std::size_t task) const { return values_[after * tasks_ + task - 1]; }
  /// Row-major [tasks + 1 × tasks].
  const std::vector<double>& values() const { return values_; }
  void state(Archive& archive) { archive("values", values_); }

  double average_accuracy(std::size_t k) const;
  double backward_transfer(std::size_t k) const;
  double forward_transfer(std::size_t k) const;
  double forgetting(std::size_t k, std::size_t task) const;
  double mean_forgetting(std::size_t k) const;
  double learning_accuracy(std::size_t k) const;
  /// Of one task: its accuracy in `joint`, where all tasks were learned at once, minus R[task][task]
  /// (Chaudhry et al., ECCV 2018).
  double intransigence(const AccuracyMatrix& joint, std::size_t task) const;
  double mean_intransigence(const AccuracyMatrix& joint) const;

 private:
  std::size_t tasks_;
  std::vector<double> values_;
};

/// A measure after k tasks, with the letters that the field has for it and its definition in words, written beside the
/// numbers because the field uses several.
struct MatrixMeasure {
  const char* name;  ///< of the data set in run.h5
  const char* label;
  double (AccuracyMatrix::*value)(std::size_t k) const;
  const char* definition;
  bool more_is_better = true;
};

/// All that are one number.
const std::vector<MatrixMeasure>& matrix_measures();

}  // namespace orthospike
