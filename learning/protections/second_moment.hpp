#pragma once

#include <string>
#include <vector>

#include "learning/communicator.hpp"
#include "sim/archive.hpp"
#include "sim/connections/pairs.hpp"

namespace orthospike {

/// The second moment of rows of n numbers, summed over tasks, each scaled to mean eigenvalue 1, whatever its length and
/// size.
class SecondMoment {
 public:
  /// projection: who it says has rows that are not finite.
  SecondMoment(Backend& backend, std::string projection, std::size_t n, Communicator& ranks);

  /// rows [N × n] of this task, of this rank
  void add(const Presynaptic& rows);
  /// A task whose rows are all zero adds nothing. Throws EnvironmentError where they are not finite.
  void end_task();
  void state(Archive& archive);

  std::size_t size() const { return n_; }
  /// [n × n] of finished tasks: its lower triangle, which is all that symmetric.hpp reads.
  const std::vector<double>& sum() const { return sum_; }
  /// Finished ones that added something.
  std::size_t tasks() const { return tasks_; }
  /// In bytes, of what is kept between tasks.
  std::size_t memory() const { return sum_.size() * sizeof(double); }

 private:
  Backend& backend_;
  std::string projection_;
  std::size_t n_;
  Communicator& ranks_;
  Array<float> of_task_;  ///< [n × n] of this rank, not scaled; its lower triangle
  std::vector<double> sum_;
  std::size_t tasks_ = 0;
};

}  // namespace orthospike
