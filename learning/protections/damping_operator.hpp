#pragma once

#include "learning/protections/protection.hpp"

namespace orthospike {

/// (I + C / lambda)^-1 on the presynaptic space, [n × n], computed on the host when C changes.
class DampingOperator final : public PresynapticOperator, public LinearPresynapticOperator {
 public:
  DampingOperator(Backend& backend, const Projection& projection);

  /// moments: C [n × n], symmetric and positive semi-definite. Throws EnvironmentError, which names the
  /// projection, when it is not finite.
  void set(const std::vector<double>& moments, double lambda);
  /// Directions it takes, each by the part it takes: the trace of I minus it.
  double effective_rank() const { return effective_rank_; }

  ConstMatrix apply_to_traces(const Presynaptic& traces) override;
  LinearPresynapticOperator* linear() override { return this; }
  void apply_to_gradient(Matrix gradient) override;

 private:
  ConstMatrix matrix() const { return matrix_.matrix(size_, size_); }
  Matrix product(std::size_t rows, std::size_t cols);

  Backend& backend_;
  std::string projection_;
  std::size_t size_;
  Array<float> matrix_;
  double effective_rank_ = 0;
  Array<float> product_;  ///< grows as needed
  Array<float> one_;      ///< [1] height of a spike
};

}  // namespace orthospike
