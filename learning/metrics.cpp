#include "learning/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace orthospike {

namespace {

constexpr double not_evaluated = std::numeric_limits<double>::quiet_NaN();

/// Mean of value(j) for j = first … last; NaN over nothing.
template <class Value>
double mean(std::size_t first, std::size_t last, const Value& value) {
  if (first > last) return not_evaluated;
  double sum = 0;
  for (std::size_t j = first; j <= last; ++j) sum += value(j);
  return sum / static_cast<double>(last - first + 1);
}

}  // namespace

AccuracyMatrix::AccuracyMatrix(std::size_t tasks)
    : tasks_(tasks), values_((tasks + 1) * tasks, not_evaluated) {}

double AccuracyMatrix::average_accuracy(std::size_t k) const {
  return mean(1, k, [&](std::size_t j) { return at(k, j); });
}

double AccuracyMatrix::backward_transfer(std::size_t k) const {
  return mean(1, k - 1, [&](std::size_t j) { return at(k, j) - at(j, j); });
}

double AccuracyMatrix::forward_transfer(std::size_t k) const {
  return mean(2, k, [&](std::size_t j) { return at(j - 1, j) - at(0, j); });
}

double AccuracyMatrix::forgetting(std::size_t k, std::size_t task) const {
  if (task >= k) return not_evaluated;
  double best = at(task, task);
  for (std::size_t i = task; i < k; ++i) {
    const double accuracy = at(i, task);
    best = std::isnan(accuracy) ? accuracy : std::max(best, accuracy);  // which keeps NaN
  }
  return best - at(k, task);
}

double AccuracyMatrix::mean_forgetting(std::size_t k) const {
  return mean(1, k - 1, [&](std::size_t j) { return forgetting(k, j); });
}

double AccuracyMatrix::learning_accuracy(std::size_t k) const {
  return mean(1, k, [&](std::size_t j) { return at(j, j); });
}

double AccuracyMatrix::intransigence(const AccuracyMatrix& joint, std::size_t task) const {
  return joint.at(joint.tasks(), task) - at(task, task);
}

double AccuracyMatrix::mean_intransigence(const AccuracyMatrix& joint) const {
  return mean(1, tasks_, [&](std::size_t j) { return intransigence(joint, j); });
}

const std::vector<MatrixMeasure>& matrix_measures() {
  using R = AccuracyMatrix;
  static const std::vector<MatrixMeasure> measures = {
      {"average_accuracy", "ACC", &R::average_accuracy, "after k tasks: mean over j <= k of R[k][j]"},
      {"backward_transfer", "BWT", &R::backward_transfer,
       "after k tasks: mean over j < k of R[k][j] - R[j][j] (GEM, Mammoth); NaN for k = 1"},
      {"forward_transfer", "FWT", &R::forward_transfer,
       "after k tasks: mean over 1 < j <= k of R[j-1][j] - R[0][j], against the untrained network (GEM); NaN for k = 1"},
      {"mean_forgetting", "forgetting", &R::mean_forgetting,
       "after k tasks: mean over j < k of the forgetting of task j", false},
      {"learning_accuracy", "learning accuracy", &R::learning_accuracy,
       "after k tasks: mean over j <= k of R[j][j]"}};
  return measures;
}

}  // namespace orthospike
