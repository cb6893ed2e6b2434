#pragma once

#include "learning/protections/protection.hpp"

namespace orthospike {

/// scale · (x - q(x h_oldᵀ) h_old) of the old rows of a subspace, with the responses q of lateral neurons. The
/// subspace and the neurons outlive it.
class SubspaceOperator final : public PresynapticOperator, public LinearOperator {
 public:
  SubspaceOperator(Backend& backend, LateralNeurons& neurons, const Subspace& subspace, std::size_t max_rows);

  ConstMatrix apply_to_traces(const Presynaptic& traces) override;
  LinearOperator* linear() override { return neurons_.linear() ? this : nullptr; }
  void apply_to_gradient(Matrix gradient) override;
  /// 1 until it is set.
  void set_scale(float scale) { scale_ = scale; }
  void state(Archive& archive) { archive("scale", scale_); }
  /// x without its part in the old rows, scaled. The same x in a row is computed once, until the next `forget`:
  /// often traces are the activity.
  ConstMatrix residual_of(const Presynaptic& x);
  /// The same when it is asked for. x outlives that.
  OldResidual lazy_residual_of(const Presynaptic& x);
  /// What was computed last is of an earlier batch.
  void forget() { residual_source_ = {}; }

 private:
  bool holds_residual_of(const Presynaptic& x) const;
  void remove_responses(const Presynaptic& x, Matrix result);

  Backend& backend_;
  LateralNeurons& neurons_;
  const Subspace& subspace_;
  std::size_t max_rows_;
  float scale_ = 1;
  Array<float> residual_;        ///< [max_rows × n], when it was needed
  ConstMatrix residual_source_;  ///< whose residual is held; empty between batches
  Array<float> one_;             ///< [1] height of a spike
  Array<float> response_;        ///< [old rank × targets] of gradients, [N × old rank] of traces
};

}  // namespace orthospike
