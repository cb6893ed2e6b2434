#pragma once

#include "learning/protections/damping_operator.hpp"

namespace orthospike {

/// Orthogonal weights modification (Zeng et al., Nature Machine Intelligence 2019), a relative of leaky without
/// neurons: traces x become P x, and each batch with mean activity m takes its direction from P,
///   P ← P - k (P m)ᵀ with k = P m / (alpha + mᵀ P m), P = I at first.
/// That recursion is (I + Σ m mᵀ / alpha)^-1 whatever the order of batches. The sum is kept and inverted at the
/// end of a task, which costs no division on the device and rounds less. As in the paper, the changes of task j
/// go through the P of tasks before j (the authors' program lets P change, and act, within the task); alpha is
/// the same for all batches.
class Owm final : public Protection {
 public:
  struct Settings {
    float alpha = 1.0F;  ///< energy of the mean activity of one batch that halves changes along it

    void describe(SettingsVisitor& visit);
  };

  Owm(const ProtectionContext& context, const Settings& settings);

  void begin_task(std::size_t /*task*/) override {}
  PresynapticOperator* presynaptic_operator(std::size_t projection) override;
  void observe(std::size_t projection, const Presynaptic& activity, ConstMatrix /*post*/) override;
  void end_task() override;
  void state(Archive& archive) override { archive("projection", parts_); }
  double effective_rank(std::size_t projection) const override {
    return parts_[projection]->remove.effective_rank();
  }
  std::size_t memory(std::size_t projection) const override {
    return parts_[projection]->means.size() * sizeof(float);
  }

 private:
  struct Part {
    Part(Backend& backend, const Projection& projection);

    std::size_t n;
    Array<float> mean;   ///< [1 × n] of a batch
    Array<float> means;  ///< [n × n] Σ m mᵀ over all batches so far
    DampingOperator remove;

    void state(Archive& archive) {
      archive("means", means);
      archive("remove", remove);
    }
  };

  Backend& backend_;
  Settings settings_;
  Communicator& ranks_;
  Array<float> ones_;                         ///< [1 × most rows]
  std::vector<std::unique_ptr<Part>> parts_;  ///< one a projection
};

}  // namespace orthospike
