#pragma once

#include "learning/protections/damping_operator.hpp"
#include "learning/protections/inhibitory_circuit.hpp"
#include "learning/protections/second_moment.hpp"

namespace orthospike {

/// Of Kronecker-factored damping in all its forms.
struct KfacSettings {
  enum class Form { product, separable, circuit };

  Form form = Form::product;
  std::vector<float> lambda = {1};  ///< one a projection; the last holds for the rest
  // Of the product:
  std::size_t directions = 32;
  float power = 2;
  float source_isotropy = 0;
  float target_isotropy = 0;
  // Of the others:
  float mu = 1;
  CircuitSettings circuit = {};

  void describe(SettingsVisitor& visit);
  float lambda_of(std::size_t projection) const { return lambda[std::min(projection, lambda.size() - 1)]; }
  Protection::Traits traits() const { return {.is_linear = form != Form::circuit || !circuit.is_spiking()}; }
};

/// A Kronecker-factored penalty on what changes do to finished tasks (Martens & Grosse, 2015; Kao et al., 2021), as an
/// operator on changes (kfac.md).
///
/// C [n × n] sums over finished tasks the second moment of the presynaptic activity, D [m × m] is the mean over them
/// of that of the postsynaptic factors, those of each batch divided by their norm; of each task both have mean eigenvalue
/// 1. Isotropies make them the more like the identity. With C = Uᵀ diag(a) U, D = Vᵀ diag(b) V,
/// eigenvectors being rows, a change G [n × m] becomes
///
///   Uᵀ (F ∘ (U G Vᵀ)) V,   F_ij = 1 / (1 + (a_i b_j / lambda)^power),
///
/// with power 1 the minimiser of ½‖Δ - G‖² + 1/(2 lambda) tr(Δᵀ C Δ D). With fewer than m postsynaptic directions, the
/// V of the largest b, all others have the mean of their b, b_0.
class Kfac final : public Protection {
 public:
  Kfac(const ProtectionContext& context, const KfacSettings& settings);

  void begin_task(std::size_t /*task*/) override {}
  ChangeOperator* change_operator(std::size_t projection) override;
  PresynapticOperator* presynaptic_operator(std::size_t projection) override;
  void observe(std::size_t projection, const Presynaptic& activity, ConstMatrix post) override;
  void end_task() override;
  void state(Archive& archive) override { archive("projection", parts_); }
  double effective_rank(std::size_t projection) const override {
    return parts_[projection]->mean.effective_rank();
  }
  std::size_t memory(std::size_t projection) const override;

 private:
  struct Part final : ChangeOperator, LinearOperator {
    Part(Backend& backend, const KfacSettings& settings, const Projection& projection, std::size_t number,
         Communicator& ranks);

    Pairs apply_to_pairs(const Pairs& pairs) override;
    LinearOperator* linear() override { return this; }
    void apply_to_gradient(Matrix gradient) override;
    void end_task();
    /// rows [directions × n] ← (F ∘ (gᵀ Uᵀ)) U: what becomes of columns g [n × directions] of a change, each along a
    /// row of V.
    void damp(ConstMatrix g, Matrix rows);
    bool is_exact() const { return directions == post.size(); }
    void state(Archive& archive);
    void transpose_axes();

    Backend& backend;
    const KfacSettings& settings;
    std::string projection;
    double lambda;
    std::size_t directions;
    SecondMoment pre, post;
    Array<float> axes;                                  ///< [n × n] U
    Array<float> columns;                               ///< [n × n] Uᵀ, which makes products with it fast
    Array<float> leading;                               ///< [directions × m] V
    Array<float> factor;                                ///< [directions × n] F
    DampingOperator rest;                               ///< on the other directions
    DampingOperator mean;                               ///< over all postsynaptic directions
    Array<float> traces, posts, along, damped, normed;  ///< grow as needed
  };

  /// to [N × m] ← errors of this rank, divided by the norm of those of all.
  void normalise(ConstMatrix errors, Matrix to);

  Backend& backend_;
  KfacSettings settings_;
  Communicator& ranks_;
  Array<float> norm_;                         ///< [1] of a rank's errors
  std::vector<std::unique_ptr<Part>> parts_;  ///< one a projection
};

}  // namespace orthospike
