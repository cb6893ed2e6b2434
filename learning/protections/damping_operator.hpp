#pragma once

#include "learning/protections/protection.hpp"

namespace orthospike {

/// A symmetric matrix between 0 and I, [n × n], on one side of a projection.
class DampingOperator final : public PresynapticOperator, public LinearOperator {
 public:
  /// projection: who it says has moments that are not finite.
  DampingOperator(Backend& backend, std::string projection, std::size_t size);

  /// (I + C / lambda)^-1, computed on the host. moments: C [n × n], symmetric and positive semi-definite. Throws
  /// EnvironmentError, which names the projection, when it is not finite.
  void set(const std::vector<double>& moments, double lambda);
  /// Uᵀ diag(gains) U of rows U [n × n] that are orthonormal.
  void set(ConstMatrix axes, const std::vector<double>& gains);
  /// Directions it takes, each by the part it takes: the trace of I minus it.
  double effective_rank() const { return effective_rank_; }
  void state(Archive& archive) {
    archive("matrix", matrix_);
    archive("effective_rank", effective_rank_);
  }

  /// result [N × n] ← the operator on each row of traces
  void apply(const Presynaptic& traces, Matrix result);
  ConstMatrix apply_to_traces(const Presynaptic& traces) override;
  LinearOperator* linear() override { return this; }
  void apply_to_gradient(Matrix gradient) override;

 private:
  ConstMatrix matrix() const { return matrix_.matrix(size_, size_); }

  Backend& backend_;
  std::string projection_;
  std::size_t size_;
  Array<float> matrix_;
  double effective_rank_ = 0;
  Array<float> product_;  ///< grows as needed
  Array<float> one_;      ///< [1] height of a spike
};

}  // namespace orthospike
