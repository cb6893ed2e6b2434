#pragma once

#include "kernels/cpu/spike_index.hpp"

namespace orthospike {

/// sums [rows × targets] ← scale · Σ over events of a row of weights[event, :] + beta · sums; in the thread that calls.
void sum_events(const EventRows& events, ConstMatrix weights, float scale, float beta, Matrix sums);

}  // namespace orthospike
