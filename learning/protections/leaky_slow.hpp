#pragma once

#include "learning/protections/damping_operator.hpp"
#include "learning/protections/leaky.hpp"

namespace orthospike {

/// Leaky lateral inhibition that needs no boundaries: what has become slow protects. With the second moment
/// M = XᵀX / N of each batch, and every `refresh` batches,
///   C_fast ← C_fast + (M - C_fast) / min(t, fast),  t: batches so far;
///   C_slow ← C_slow + refresh / slow · n C_fast / tr C_fast;   P = (I + C_slow / lambda)^-1.
/// `slow` batches add as much to C_slow as a finished task adds to C of Leaky, mean eigenvalue 1, so lambda means
/// the same. Nothing decays, so that old tasks stay protected.
/// A task's own traces enter C_slow about `fast` batches late. That lag is all that keeps a task from freezing its
/// own learning: a task much longer than `fast` anneals itself, and one much longer than `slow` is protected more
/// than others. The lag is a gap in the protection too: in the first `fast` batches of a task the end of the one
/// before is protected in part only.
class LeakySlow final : public Protection {
 public:
  LeakySlow(const ProtectionContext& context, const LeakySettings& settings);

  void begin_task(std::size_t /*task*/) override {}
  PresynapticOperator* presynaptic_operator(std::size_t projection) override;
  void observe(std::size_t projection, const Presynaptic& activity, ConstMatrix /*post*/) override;
  void end_task() override {}
  void state(Archive& archive) override { archive("projection", parts_); }
  double effective_rank(std::size_t projection) const override {
    return parts_[projection]->damp.effective_rank();
  }
  std::size_t memory(std::size_t projection) const override {
    return parts_[projection]->slow.size() * (sizeof(double) + sizeof(float));
  }

 private:
  struct Part {
    Part(Backend& backend, const Projection& projection);

    std::size_t n;
    std::size_t batches = 0;
    Array<float> fast;         ///< [n × n] C_fast by what this rank has seen
    std::vector<double> slow;  ///< [n × n] C_slow
    DampingOperator damp;

    void state(Archive& archive) {
      archive("batches", batches);
      archive.summed("fast", fast);
      archive("slow", slow);
      archive("damp", damp);
    }
  };

  Backend& backend_;
  LeakySettings settings_;
  Communicator& ranks_;
  std::vector<std::unique_ptr<Part>> parts_;  ///< one a projection
};

}  // namespace orthospike
