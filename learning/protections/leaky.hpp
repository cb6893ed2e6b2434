#pragma once

#include "learning/protections/damping_operator.hpp"
#include "learning/protections/inhibitory_circuit.hpp"
#include "learning/protections/second_moment.hpp"

namespace orthospike {

/// Of leaky inhibition in all its forms.
struct LeakySettings {
  enum class Form { exact, circuit };
  enum class Consolidation { boundaries, slow };

  float lambda = 0.3F;
  Consolidation consolidation = Consolidation::boundaries;
  Form form = Form::exact;
  CircuitSettings circuit = {};
  // Of slow consolidation:
  std::size_t fast_updates = 20;
  std::size_t slow_updates = 1000;
  std::size_t refresh = 50;

  void describe(SettingsVisitor& visit);
  bool is_circuit() const { return form == Form::circuit; }
  Protection::Traits traits() const {
    return {.is_linear = !is_circuit() || !circuit.is_spiking(),
            .needs_boundaries = consolidation == Consolidation::boundaries};
  }
};

/// The key leaky.lambda, which leaky_lowrank has too.
void describe_lambda(SettingsVisitor& visit, float& lambda);

/// Leaky lateral inhibition: from the second task on traces x become P x with P = (I + C / lambda)^-1, which
/// weakens each direction by how much earlier tasks use it. C sums over finished tasks the second moment of
/// the presynaptic activity, each scaled to mean eigenvalue 1: along an eigenvector with eigenvalue c of C,
/// 1 / (1 + c / lambda) is left.
class Leaky final : public Protection {
 public:
  Leaky(const ProtectionContext& context, const LeakySettings& settings);

  void begin_task(std::size_t /*task*/) override {}
  PresynapticOperator* presynaptic_operator(std::size_t projection) override;
  void observe(std::size_t projection, const Presynaptic& activity, ConstMatrix /*post*/) override {
    parts_[projection]->moment.add(activity);
  }
  void end_task() override;
  void state(Archive& archive) override { archive("projection", parts_); }
  double effective_rank(std::size_t projection) const override {
    return parts_[projection]->damp.effective_rank();
  }
  std::size_t memory(std::size_t projection) const override { return parts_[projection]->moment.memory(); }

 private:
  struct Part {
    Part(Backend& backend, const Projection& projection, Communicator& ranks);

    SecondMoment moment;  ///< its sum is C
    DampingOperator damp;

    void state(Archive& archive) {
      archive("moment", moment);
      archive("damp", damp);
    }
  };

  LeakySettings settings_;
  std::vector<std::unique_ptr<Part>> parts_;  ///< one a projection
};

}  // namespace orthospike
