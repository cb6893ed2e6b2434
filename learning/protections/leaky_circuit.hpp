#pragma once

#include "learning/protections/inhibitory_circuit.hpp"
#include "learning/protections/leaky.hpp"

namespace orthospike {

/// The operator of Leaky by lateral neurons: an inhibitory circuit between the presynaptic neurons of each projection.
class LeakyCircuit final : public Protection {
 public:
  LeakyCircuit(const ProtectionContext& context, const LeakySettings& settings);

  void begin_task(std::size_t task) override;
  PresynapticOperator* presynaptic_operator(std::size_t projection) override;
  void observe(std::size_t projection, const Presynaptic& activity, ConstMatrix /*post*/) override {
    circuits_[projection]->learn(activity);
  }
  void end_task() override;
  void state(Archive& archive) override { archive("projection", circuits_); }
  double effective_rank(std::size_t projection) const override {
    return circuits_[projection]->effective_rank();
  }
  std::size_t memory(std::size_t projection) const override { return circuits_[projection]->memory(); }
  /// Steps in which traces of a projection settle through linear lateral neurons.
  std::size_t steps(std::size_t projection) const { return circuits_[projection]->steps(); }

 private:
  LeakySettings settings_;
  std::vector<std::unique_ptr<InhibitoryCircuit>> circuits_;  ///< one a projection
};

}  // namespace orthospike
