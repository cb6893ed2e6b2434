#pragma once

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

/// Learns the new rows of one subspace from presynaptic activity.
class Extractor {
 public:
  virtual ~Extractor() = default;

  /// New rows were appended.
  virtual void begin_task(const Subspace& subspace) = 0;
  /// One batch x [N × n]; old_residual = x - y_old h_old, the part the responses of old rows do not explain.
  virtual void learn(const Presynaptic& x, ConstMatrix old_residual, Subspace& subspace) = 0;
  /// Takes from the new rows the directions in which none of the activity was, if there are any; only where the
  /// context says finds_unlearned.
  virtual void remove_unlearned(Subspace& subspace) = 0;
  virtual void state(Archive& archive) = 0;
};

/// Extractors by their config name. The neurons outlive the extractor.
using Extractors = Registry<Extractor, Backend&, LateralNeurons&, const ExtractorContext&>;
Extractors& extractors();

}  // namespace orthospike
