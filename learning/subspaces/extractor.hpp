#pragma once

#include <functional>
#include <vector>

#include "learning/communicator.hpp"
#include "learning/subspaces/lateral_neurons.hpp"
#include "learning/subspaces/subspace.hpp"
#include "sim/archive.hpp"
#include "sim/connections/pairs.hpp"
#include "sim/registry.hpp"

namespace orthospike {

/// What an extractor is for.
struct ExtractorContext {
  std::size_t projection = 0;    ///< settings may differ
  bool finds_unlearned = false;  ///< records what remove_unlearned goes by
  Communicator& ranks = alone();
};

/// Share of additions above which responses to spikes are a dense product (Deliver of kernels/delivery.hpp).
inline constexpr float subspace_crossover = 0.3F;

/// x - y_old h_old [N × n], the part of a batch that the responses of old rows do not explain. It is made when it is asked
/// for, unless it is there already: that may cost more than learning does.
struct OldResidual {
  bool is_held = true;
  std::function<ConstMatrix()> get;
};

/// Learns the new rows of one subspace from presynaptic activity.
class Extractor {
 public:
  virtual ~Extractor() = default;

  /// New rows were appended.
  virtual void begin_task(const Subspace& subspace) = 0;
  /// One batch x [N × n], of which old_residual is.
  virtual void learn(const Presynaptic& x, const OldResidual& old_residual, Subspace& subspace) = 0;
  /// Takes from the new rows the directions in which none of the activity was, if there are any; only where the
  /// context says finds_unlearned.
  virtual void remove_unlearned(Subspace& subspace) = 0;
  virtual void state(Archive& archive) = 0;
};

/// Extractors by their config name. The neurons outlive the extractor.
using Extractors = Registry<Extractor, Backend&, LateralNeurons&, const ExtractorContext&>;
Extractors& extractors();

}  // namespace orthospike
