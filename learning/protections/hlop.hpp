#pragma once

#include "learning/protections/subspace_operator.hpp"
#include "learning/subspaces/extractor.hpp"

namespace orthospike {

/// Hebbian learning based orthogonal projection (Xiao et al., ICLR 2024): each projection has a subspace that
/// learns the principal directions of its presynaptic activity alongside the weights. From the second task
/// on, traces x become x - h_oldᵀ q(h_old x), with the responses q of the lateral neurons, before they change
/// weights, so that currents caused by activity of earlier tasks stay as they were. Rows that found no activity
/// in their task are not kept: a silent population leaves none.
class Hlop final : public Protection {
 public:
  struct Settings {
    Choice<Extractors> extractor{extractors()};
    Choice<LateralNeuronKinds> neurons{lateral_neurons()};
    /// New rows, an entry a task, in it one number for all projections or one each; the last entry is also that of
    /// later tasks. What exceeds the presynaptic size is left out.
    std::vector<std::vector<std::size_t>> ranks = {{80, 200, 100}, {70}, {70}, {50}, {50},
                                                   {50},           {30}, {30}, {30}, {10}};
    bool orthonormalise = false;  ///< make the learned rows orthonormal at the end of each task

    void describe(SettingsVisitor& visit);
    Traits traits() const { return {.is_linear = neurons.name() == "linear"}; }
  };

  /// Throws ConfigError for ranks that do not fit the projections.
  Hlop(const ProtectionContext& context, const Settings& settings);

  void begin_task(std::size_t task) override;
  PresynapticOperator* presynaptic_operator(std::size_t projection) override;
  void observe(std::size_t projection, const Presynaptic& activity, ConstMatrix /*post*/) override;
  void end_task() override;
  void state(Archive& archive) override { archive("projection", parts_); }
  const Subspace* subspace(std::size_t projection) const override { return &parts_[projection]->subspace; }
  double effective_rank(std::size_t projection) const override {
    return static_cast<double>(parts_[projection]->subspace.old_rank());
  }
  std::vector<std::string> warnings(std::size_t tasks) const override;
  std::size_t memory(std::size_t projection) const override {
    return parts_[projection]->subspace.old_rows().values.size() * sizeof(float);
  }

 private:
  struct Part {
    Part(Backend& backend, LateralNeurons& neurons, const Projection& projection, std::size_t max_rows);

    Subspace subspace;
    SubspaceOperator remove;
    std::unique_ptr<Extractor> extractor;

    void state(Archive& archive) {
      archive("subspace", subspace);
      archive("extractor", *extractor);
    }
  };

  /// Of task `task`, which may be later than the last entry of the settings.
  std::size_t rank(std::size_t task, std::size_t projection) const;

  std::span<const Projection> projections_;
  Settings settings_;
  std::uint64_t seed_;
  std::unique_ptr<LateralNeurons> neurons_;
  std::vector<std::unique_ptr<Part>> parts_;  ///< one a projection
};

}  // namespace orthospike
