#pragma once

#include "learning/protections/subspace_operator.hpp"

namespace orthospike {

/// Gradient projection memory (Saha et al., ICLR 2021), a relative of hlop without neurons: at the end of a
/// task the exact principal components of what the old rows leave of its activity become rows, as few as
/// make all rows together hold the threshold's part of the activity's energy. Changes of weights are removed
/// from their span. Published for a sample of each task; here the components are those of all its activity.
class Gpm final : public Protection {
 public:
  struct Settings {
    std::vector<float> threshold = {0.95F, 0.99F, 0.99F};  ///< one a projection; the last holds for the rest

    void describe(SettingsVisitor& visit);
  };

  Gpm(const ProtectionContext& context, const Settings& settings);

  void begin_task(std::size_t /*task*/) override {}
  PresynapticOperator* presynaptic_operator(std::size_t projection) override;
  void observe(std::size_t projection, const Presynaptic& activity, ConstMatrix /*post*/) override;
  void end_task() override;
  void state(Archive& archive) override { archive("projection", parts_); }
  const Subspace* subspace(std::size_t projection) const override { return &parts_[projection]->subspace; }
  double effective_rank(std::size_t projection) const override {
    return static_cast<double>(parts_[projection]->subspace.old_rank());
  }
  std::size_t memory(std::size_t projection) const override {
    return parts_[projection]->subspace.old_rows().values.size() * sizeof(float);
  }

 private:
  struct Part {
    Part(Backend& backend, LinearNeurons& neurons, const Projection& projection, std::size_t max_rows);

    std::string projection;
    Subspace subspace;
    Array<float> moment;  ///< [n × n] of this task's activity, of this rank
    SubspaceOperator remove;

    void state(Archive& archive) {
      archive("subspace", subspace);
      archive.summed("moment", moment);
    }
  };

  Backend& backend_;
  Settings settings_;
  Communicator& ranks_;
  LinearNeurons neurons_;
  std::vector<std::unique_ptr<Part>> parts_;  ///< one a projection
};

}  // namespace orthospike
