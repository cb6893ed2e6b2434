#pragma once

#include "kernels/cpu/spike_index.hpp"

namespace orthospike {

/// Share of active neurons above which a dense product is faster than correlating along events: 0.4 on a core
/// that multiplies at 96 GFLOP/s, less on one that multiplies faster.
inline constexpr double correlation_crossover = 0.3;

/// sums [rows × targets] ← scale · Σ over events of a row of weights[event, :] + beta · sums; in the thread that calls.
void sum_events(const EventRows& events, ConstMatrix weights, float scale, float beta, Matrix sums);

}  // namespace orthospike
