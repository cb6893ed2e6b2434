#pragma once

#include "kernels/backend.hpp"

namespace orthospike {

/// Rows of presynaptic activity or traces [N × source neurons]; where they are spikes, also as event lists, which
/// are cheaper to work with.
struct Presynaptic : ConstMatrix {
  Presynaptic() = default;
  Presynaptic(Matrix rows) : ConstMatrix(rows) {}
  Presynaptic(ConstMatrix rows, ConstSpikes events = {}) : ConstMatrix(rows), spikes(events) {}

  bool has_events() const { return spikes.rows > 0; }

  ConstSpikes spikes;  ///< the same rows; empty where they are no spikes
};

/// Pairs of a presynaptic trace and a postsynaptic factor, whose outer products sum to a change of weights, stored
/// [source × target]: traceᵀ · post.
struct Pairs {
  Presynaptic trace;  ///< [N × source neurons]
  ConstMatrix post;   ///< [N × target neurons]
};

/// sum ← alpha · traceᵀ · post + beta · sum
void add_outer_products(Backend& backend, float alpha, const Presynaptic& trace, ConstMatrix post, float beta,
                        Matrix sum);

}  // namespace orthospike
