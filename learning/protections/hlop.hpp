#pragma once

#include "learning/protections/subspace_operator.hpp"

namespace orthospike {

/// Hebbian learning based orthogonal projection (Xiao et al., ICLR 2024): each projection has a subspace that
/// learns the principal directions of its presynaptic activity alongside the weights. From the second task
/// on, traces x become x - h_oldᵀ q(h_old x), with the responses q of the lateral neurons, before they change
/// weights, so that currents caused by activity of earlier tasks stay as they were. Rows that found no activity
/// in their task are not kept: a silent population leaves none.
class Hlop final : public Protection {
 public:
  Hlop(const Network& network, const ProtectionSettings& settings);

  void begin_task(std::size_t task) override;
  bool is_linear() const override { return neurons_->linear(); }
  PresynapticOperator* presynaptic_operator(std::size_t projection) override;
  void observe(std::size_t projection, const Presynaptic& activity) override;
  void end_task() override;
  const Subspace* subspace(std::size_t projection) const override { return &parts_[projection]->subspace; }
  double effective_rank(std::size_t projection) const override {
    return static_cast<double>(parts_[projection]->subspace.old_rank());
  }
  std::size_t memory(std::size_t projection) const override {
    return parts_[projection]->subspace.old_rows().values.size() * sizeof(float);
  }

 private:
  struct Part {
    Part(Backend& backend, LateralNeurons& neurons, std::size_t presynaptic_size, std::size_t max_rows);

    Subspace subspace;
    SubspaceOperator remove;
    std::unique_ptr<Extractor> extractor;
  };

  HlopSettings settings_;
  std::uint64_t seed_;
  std::unique_ptr<LateralNeurons> neurons_;
  std::vector<std::unique_ptr<Part>> parts_;  ///< one a projection
};

}  // namespace orthospike
