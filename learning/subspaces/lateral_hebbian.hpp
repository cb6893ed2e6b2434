#pragma once

#include "learning/subspaces/extractor.hpp"

namespace orthospike {

struct HebbianRates;

/// Principal subspace by lateral Hebbian and anti-Hebbian learning (Xiao et al., ICLR 2024; Oja's rule).
///
/// Subspace neurons respond y = q(h x) and feed back x⁻ = -hᵀ y; a Hebbian step on (y, x) and an anti-Hebbian
/// one on (y, x⁻) together are y (x - hᵀ y)ᵀ. `iterations` times a batch on the same x:
///   d = clamp(y_newᵀ (x - y h) / N, ±clamp)
///   v ← momentum · v + (1 - momentum) · d
///   h_new ← h_new + learning_rate · v
/// where y h covers old and new rows. Its old part is the same in all iterations: old_residual has it taken off x.
///
/// Of more new rows than the activity has directions, some combinations cᵀ h_new have no response, cᵀ y = 0, in the
/// whole task, and so cᵀ d = 0: they stay what they were when the rows were added. Those are removed, by turning the
/// rows to principal axes (which leaves h_newᵀ h_new as it is) and leaving some out: the combinations whose response
/// energy and whose squared move are both no more than rounding makes them. A number that is rounded S times, by at
/// most 2⁻²⁴ of its size, wanders by about √S times that; what is removed did so no more than eight times as far. For
/// moves that is relative to the largest row, in K steps a batch; for energies to the strongest row's, in one a batch.
/// Neither alone is enough: rows that explain all activity from the first do not move, and of faint responses sums of
/// floats keep no trace. Where all combinations learned, rows stay as they are.
///
/// Several ranks of a run sum d in each iteration, each having that of its own samples.
///
/// Three forms give the same d with linear responses, q(z) = z; `learn` takes the one for events where x is
/// spikes, else the one with fewer multiply-adds; with other responses always the direct one:
///   direct    d = yᵀ (old_residual - y h_new),       3·N·m·n an iteration, once N·m² to find unlearned ones, and what
///             old_residual costs
///   shortcut  d = h_new c (I - hᵀ h) with c = xᵀ x, N·n²/2 once; then m·n² + 2·m·M·n an iteration, M being all rows
///   events    dᵀ = old_residualᵀ y - hᵀ (yᵀ y), with hᵀ in memory: y is a delivery of spikes, and without old
///             rows so is the first product; then N·m² + m²·n an iteration
class LateralHebbian final : public Extractor {
 public:
  struct Settings {
    std::vector<float> learning_rate = {0.001F, 0.01F,
                                        0.01F};  ///< one a projection; the last holds for the rest
    std::size_t iterations = 5;
    float momentum = 0.9F;
    float clamp = 10.0F;

    void describe(SettingsVisitor& visit);
  };

  LateralHebbian(Backend& backend, LateralNeurons& neurons, const ExtractorContext& context,
                 const Settings& settings);

  void begin_task(const Subspace& subspace) override;
  void learn(const Presynaptic& x, const OldResidual& old_residual, Subspace& subspace) override;
  void remove_unlearned(Subspace& subspace) override;
  void state(Archive& archive) override;

  /// What a batch with linear responses takes, by which a form is chosen.
  struct Work {
    std::size_t rows;         ///< N
    std::size_t inputs;       ///< n
    std::size_t new_neurons;  ///< m
    std::size_t old_neurons;
    std::size_t iterations;
    bool residual_is_held;

    double direct() const;  ///< multiply-adds
    double shortcut() const;
  };

 private:
  void learn_direct(const Presynaptic& x, ConstMatrix old_residual, Matrix h);
  void learn_by_events(const Presynaptic& x, const OldResidual& old_residual, Subspace& subspace);
  void learn_by_shortcut(const Presynaptic& x, Subspace& subspace);
  HebbianRates rates(const Presynaptic& x) const;

  Backend& backend_;
  LateralNeurons& neurons_;
  Communicator& ranks_;
  bool finds_unlearned_;
  float learning_rate_;
  Settings settings_;
  Array<float> first_;                // [m × n] rows as they were added
  Array<float> moment_;               // [m × m] yᵀ y of this rank, summed over the batches since then
  std::size_t batches_ = 0;           // since then
  Array<float> velocity_;             // [m × n], transposed while x is spikes
  Array<float> response_, residual_;  // direct form: [N × m], [N × n]
  Array<float> second_moment_, old_overlap_;     // shortcut: [n × n], [m × old rows]
  Array<float> transposed_, one_;                // events: [n × m], [1]
  Array<float> mapped_, correlation_, overlap_;  // shortcut, events: [m × n] twice, [m × m]
};

}  // namespace orthospike
