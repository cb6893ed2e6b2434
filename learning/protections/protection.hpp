#pragma once

#include <vector>

#include "learning/subspaces/extractor.hpp"
#include "sim/network.hpp"

namespace orthospike {

/// A symmetric linear operator P on the presynaptic space of a projection.
class LinearPresynapticOperator {
 public:
  virtual ~LinearPresynapticOperator() = default;

  /// gradient ← P · gradient, [n × targets], in place: the same change of weights as through the traces.
  virtual void apply_to_gradient(Matrix gradient) = 0;
};

/// An operator on the presynaptic space of a projection, applied to what would change its weights.
class PresynapticOperator {
 public:
  virtual ~PresynapticOperator() = default;

  /// The operator on each row of traces [N × n]. The result is valid until the next call for the same
  /// projection.
  virtual ConstMatrix apply_to_traces(const Presynaptic& traces) = 0;
  /// The same operator where it is linear and so can act on gradients; else null, and only traces can be
  /// protected.
  virtual LinearPresynapticOperator* linear() = 0;
};

/// Keeps what earlier tasks learned. Within a task, for each batch and projection: the operator is asked for
/// and applied first, then the batch's activity is observed.
class Protection {
 public:
  virtual ~Protection() = default;

  /// task counts from 0.
  virtual void begin_task(std::size_t task) = 0;
  /// Whether its operators are linear, so that sums of gradients and steps can be projected as well as traces.
  virtual bool is_linear() const { return true; }
  /// Null where nothing is to be changed. Once a task has ended it is that of the next.
  virtual PresynapticOperator* presynaptic_operator(std::size_t projection) = 0;
  /// activity [N × n]: see WeightGradient.
  virtual void observe(std::size_t projection, const Presynaptic& activity) = 0;
  virtual void end_task() = 0;

  /// The subspace of a projection's presynaptic activity, for reports; null where there is none.
  virtual const Subspace* subspace(std::size_t /*projection*/) const { return nullptr; }
  /// Directions that the finished tasks take from changes of a projection, each counted by the part of it that
  /// is taken: the trace of I - P for operator P.
  virtual double effective_rank(std::size_t projection) const = 0;
  /// Bytes that hold what finished tasks left of a projection, without buffers and copies made for speed.
  virtual std::size_t memory(std::size_t projection) const = 0;
};

struct HlopSettings {
  std::string extractor;
  std::vector<ExtractorSettings> learning;  ///< one a projection
  std::string lateral_neurons = "linear";
  LateralSettings lateral;
  /// ranks[task][projection]: new rows of each task, not yet capped at the presynaptic size; the last are also
  /// those of later tasks.
  std::vector<std::vector<std::size_t>> ranks;
  bool orthonormalise = false;  ///< make the learned rows orthonormal at the end of each task
};

struct LeakySettings {
  float lambda = 1;  ///< energy at which a direction is halved; the mean direction of one task has 1
  bool circuit = false;
  float learning_rate = 0;  ///< of the circuit's lateral weights, a batch; see LeakyCircuit
  float tolerance = 0;      ///< relative error left by settling
  bool spiking = false;     ///< lateral neurons of the circuit
  float spike_height = 0;
  std::size_t sweeps = 0;
  bool consolidates = false;                    ///< by a slow average and not at boundaries; see LeakySlow
  std::size_t fast = 1, slow = 1, refresh = 1;  ///< batches
};

struct LowrankSettings {
  float lambda = 1;                         ///< as of LeakySettings
  std::vector<ExtractorSettings> learning;  ///< one a projection
  std::size_t neurons = 0;                  ///< of all projections together
  float unexplained = 0;                    ///< part of the energy above which a projection gets neurons
  std::size_t growth = 0;                   ///< so many at a time
  std::size_t growth_batches = 0;           ///< batches between two times
};

struct GpmSettings {
  std::vector<float> thresholds;  ///< one a projection: part of a task's energy that rows must hold
};

struct OwmSettings {
  float alpha = 1;  ///< energy of the mean activity of one batch that halves changes along it
};

struct ProtectionSettings {
  std::uint64_t seed = 0;
  std::size_t max_rows = 0;  ///< of traces and activity
  HlopSettings hlop = {};
  LeakySettings leaky = {};
  LowrankSettings lowrank = {};
  GpmSettings gpm = {};
  OwmSettings owm = {};
};

/// Protections by their name. The network outlives the protection.
Registry<Protection, const Network&, const ProtectionSettings&>& protections();

/// How tasks are kept: what stands between gradients and weights, and how samples are shown.
struct ProtectionPlan {
  std::string protection;  ///< a name of protections()
  bool replay = false;     ///< stored samples of all tasks so far are shown again after each task
  bool joint = false;      ///< all tasks are learned at once
};

/// The plan that protection.name stands for: a name P of protections(), "P+replay" ("replay" where P is none)
/// or "joint". Throws ConfigError.
ProtectionPlan protection_plan(const std::string& name);

}  // namespace orthospike
