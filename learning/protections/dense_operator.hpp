#pragma once

#include <span>

#include "learning/protections/protection.hpp"

namespace orthospike {

/// An operator that is given as a symmetric matrix [n × n].
class DenseOperator final : public PresynapticOperator, public LinearPresynapticOperator {
 public:
  DenseOperator(Backend& backend, std::size_t presynaptic_size);

  void set(std::span<const double> matrix);
  ConstMatrix matrix() const { return matrix_.matrix(size_, size_); }

  ConstMatrix apply_to_traces(const Presynaptic& traces) override;
  LinearPresynapticOperator* linear() override { return this; }
  void apply_to_gradient(Matrix gradient) override;

 private:
  Matrix product(std::size_t rows, std::size_t cols);

  Backend& backend_;
  std::size_t size_;
  Array<float> matrix_;
  Array<float> product_;  ///< grows as needed
  Array<float> one_;      ///< [1] height of a spike
};

}  // namespace orthospike
