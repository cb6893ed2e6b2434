#pragma once

#include "learning/protections/protection.hpp"

namespace orthospike {

/// Hebbian learning based orthogonal projection (Xiao et al., ICLR 2024): each projection has a subspace that
/// learns the principal directions of its presynaptic activity alongside the weights. From the second task
/// on, traces x become x - h_oldᵀ q(h_old x), with the responses q of the lateral neurons, before they change
/// weights, so that currents caused by activity of earlier tasks stay as they were.
class Hlop final : public Protection {
 public:
  Hlop(const Network& network, const ProtectionSettings& settings);

  void begin_task(std::size_t task) override;
  bool is_linear() const override { return neurons_->linear(); }
  PresynapticOperator* presynaptic_operator(std::size_t projection) override;
  void observe(std::size_t projection, const Presynaptic& activity) override;
  void end_task() override;
  const Subspace* subspace(std::size_t projection) const override { return &parts_[projection]->subspace; }

 private:
  /// The subspace of one projection and the operator x - h_oldᵀ q(h_old x).
  struct Part final : PresynapticOperator, LinearPresynapticOperator {
    Part(Backend& backend, LateralNeurons& neurons, std::size_t presynaptic_size, std::size_t max_rows);

    ConstMatrix apply_to_traces(const Presynaptic& traces) override;
    LinearPresynapticOperator* linear() override { return neurons.linear() ? this : nullptr; }
    void apply_to_gradient(Matrix gradient) override;
    /// result ← x - q(x h_oldᵀ) h_old
    void remove_responses(const Presynaptic& x, Matrix result);
    /// A matrix in `response`, which grows as needed.
    Matrix responses(std::size_t rows, std::size_t cols);
    /// x without its part in the old rows. The same x in a row is computed once: often traces are the
    /// activity.
    ConstMatrix residual_of(const Presynaptic& x);

    Backend& backend;
    LateralNeurons& neurons;
    Subspace subspace;
    std::unique_ptr<Extractor> extractor;
    Array<float> residual;
    ConstMatrix residual_source;  ///< whose residual is held; empty between batches
    Array<float> one;             ///< [1] height of a spike
    Array<float> response;        ///< [old rank × targets] of gradients, [N × old rank] of traces
  };

  HlopSettings settings_;
  std::uint64_t seed_;
  std::unique_ptr<LateralNeurons> neurons_;
  std::vector<std::unique_ptr<Part>> parts_;  ///< one a projection
};

}  // namespace orthospike
