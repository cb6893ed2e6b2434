#pragma once

#include "learning/protections/subspace_operator.hpp"
#include "learning/subspaces/lateral_hebbian.hpp"

namespace orthospike {

/// Leaky for projections too wide for n × n weights: r lateral neurons h with a gain each. With c_i the energy of
/// a neuron's own responses in finished tasks, each task scaled so that its mean direction has 1, and c_0 the
/// energy that they leave, the mean of the n - r directions outside their span,
///   P = lambda / (c_0 + lambda) · (I - hᵀ diag(g) h),  g_i = (c_i - c_0) / (c_i + lambda),
/// which is Leaky's operator of a C with eigenvalues c_i along h and c_0 elsewhere. c_0 = 0 and gains of 1 are
/// hlop.
///
/// New neurons learn as those of hlop. A projection gets them while a part of its activity above `unexplained`
/// is outside their span, those with the largest part first, until all projections together have as many as
/// there may be. One that never gets any is not protected. New ones begin with the c_0 that finished tasks
/// are expected to have had along them. Responses count from the last time a projection got neurons on, the
/// later the more, for then they have settled. Hebbian neurons find a subspace, not its axes: at the end of a
/// task all turn to the principal axes of their summed responses, in which they are uncorrelated, and are exact
/// components of what they have seen.
class LeakyLowrank final : public Protection {
 public:
  struct Settings {
    float lambda = 0.3F;  ///< as of LeakySettings
    LateralHebbian::Settings learning;
    std::size_t neurons = 2000;       ///< of all projections together
    float unexplained = 0.05F;        ///< part of the energy above which a projection gets neurons
    std::size_t growth = 20;          ///< so many at a time
    std::size_t growth_batches = 20;  ///< batches between two times

    void describe(SettingsVisitor& visit);
  };

  LeakyLowrank(const ProtectionContext& context, const Settings& settings);

  void begin_task(std::size_t task) override;
  PresynapticOperator* presynaptic_operator(std::size_t projection) override;
  void observe(std::size_t projection, const Presynaptic& activity, ConstMatrix /*post*/) override;
  void end_task() override;
  void state(Archive& archive) override;
  const Subspace* subspace(std::size_t projection) const override { return &parts_[projection]->subspace; }
  double effective_rank(std::size_t projection) const override;
  std::size_t memory(std::size_t projection) const override;

 private:
  struct Part {
    Part(Backend& backend, LinearNeurons& neurons, const Projection& projection, std::size_t most_rows);

    std::string projection;
    std::size_t max_rows;  ///< of activity
    Subspace subspace;
    Subspace damping;  ///< old rows times the roots of their gains: hlop's operator on these, scaled, is ours
    SubspaceOperator explain;
    SubspaceOperator damp;
    std::unique_ptr<Extractor> extractor;
    std::vector<double> energies;  ///< [old rank] c
    double rest = 0;               ///< c_0; 0 when no direction is outside
    std::size_t measured = 0;      ///< rows whose responses are in moment
    float weight = 0;              ///< of the last batch in moment and energy
    Array<float> response;         ///< [most rows × measured] of one batch
    Array<float> moment;           ///< [measured × measured] Σ yᵀ y of responses y of this rank
    Array<float> energy;           ///< [1] Σ ‖x‖² of the same activity
    std::size_t additions = 0;     ///< of neurons, for random numbers
    double unexplained = 0;        ///< part of the energy of the last batch looked at

    void state(Archive& archive);
  };

  void measure(Part& part, const Presynaptic& activity);
  /// ‖x‖² of a batch that the rows of a part leave, in parts of all.
  double unexplained(const Part& part, ConstMatrix x);
  void grow();
  /// Second moments [rank × rank] of the responses of all rows, summed over finished tasks and this one. Adds
  /// what the rows leave of this one to c_0.
  std::vector<double> sum_responses(Part& part);
  double gain(double energy) const { return energy / (energy + settings_.lambda); }

  Backend& backend_;
  Settings settings_;
  std::uint64_t seed_;
  Communicator& ranks_;
  LinearNeurons neurons_;
  std::size_t batches_ = 0;                   ///< of this task so far
  Array<float> rest_;                         ///< what rows leave of a batch; grows as needed
  Array<float> energies_;                     ///< [2] of a batch and of what rows leave of it
  std::vector<std::unique_ptr<Part>> parts_;  ///< one a projection
};

}  // namespace orthospike
