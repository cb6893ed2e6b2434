#pragma once

#include "learning/protections/kfac.hpp"

namespace orthospike {

/// Kfac with each side by itself: a change G becomes (I + C / lambda)^-1 G (I + D / mu)^-1. That is what two circuits of
/// lateral neurons can do that know nothing of each other, one under which traces settle and one under which errors do;
/// 1 / (1 + a b / lambda), which kfac has, is no product of a factor of a and one of b, and takes less where only one
/// of them is large.
class KfacSeparable final : public Protection {
 public:
  KfacSeparable(const ProtectionContext& context, const KfacSettings& settings);

  void begin_task(std::size_t task) override;
  ChangeOperator* change_operator(std::size_t projection) override;
  /// The presynaptic side of it.
  PresynapticOperator* presynaptic_operator(std::size_t projection) override;
  void observe(std::size_t projection, const Presynaptic& activity, ConstMatrix post) override;
  void end_task() override;
  void state(Archive& archive) override { archive("projection", parts_); }
  double effective_rank(std::size_t projection) const override;
  std::size_t memory(std::size_t projection) const override;

 private:
  /// Of a projection, by operators computed at the end of a task or by a circuit.
  class Side {
   public:
    virtual ~Side() = default;
    virtual void begin_task() = 0;
    virtual void observe(const Presynaptic& rows) = 0;
    virtual void end_task() = 0;
    virtual void state(Archive& archive) = 0;
    virtual PresynapticOperator& on_rows() = 0;
    virtual double effective_rank() const = 0;
    virtual std::size_t memory() const = 0;
  };
  class ExactSide;
  class CircuitSide;

  struct Part final : ChangeOperator, LinearOperator {
    Pairs apply_to_pairs(const Pairs& pairs) override;
    LinearOperator* linear() override { return pre->on_rows().linear() == nullptr ? nullptr : this; }
    void apply_to_gradient(Matrix gradient) override;

    Backend* backend;
    std::size_t n, m;
    std::unique_ptr<Side> pre, post;

    void state(Archive& archive) {
      archive("pre", *pre);
      archive("post", *post);
    }
  };

  std::unique_ptr<Side> make_side(Backend& backend, const Projection& projection, std::size_t size,
                                  double lambda, InhibitoryCircuit::Rows rows) const;

  KfacSettings settings_;
  Communicator& ranks_;
  std::vector<std::unique_ptr<Part>> parts_;  ///< one a projection
};

}  // namespace orthospike
