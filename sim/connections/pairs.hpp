#pragma once

#include "kernels/backend.hpp"

namespace orthospike {

/// Rows of presynaptic activity or traces [N × source neurons]; where they are spikes, also as event lists, which
/// are cheaper to work with, or only as such.
struct Presynaptic : ConstMatrix {
  Presynaptic() = default;
  Presynaptic(Matrix rows) : ConstMatrix(rows) {}
  Presynaptic(ConstMatrix rows, ConstSpikes events = {}) : ConstMatrix(rows), spikes(events) {}
  /// Each spike is height[0] / dt.
  Presynaptic(ConstSpikes events, View<const float> height, float dt)
      : ConstMatrix{.values = {}, .rows = events.rows, .cols = events.neurons},
        spikes(events),
        height(height),
        dt(dt) {}

  bool has_events() const { return spikes.neurons > 0; }
  bool has_values() const { return !values.empty() || rows == 0; }
  /// Rows that all ranks of a run have of this batch.
  std::size_t all_rows() const { return rows_of_ranks == 0 ? rows : rows_of_ranks; }

  ConstSpikes spikes;             ///< the same rows; empty where they are no spikes
  View<const float> height = {};  ///< where there are only events, what each is, with dt; else each is 1
  float dt = 1;
  std::size_t rows_of_ranks = 0;  ///< 0: these are all
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
