#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/lateral.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first: this file is compiled once for each instruction set.
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/host_view.hpp"
#include "kernels/lateral.hpp"

HWY_BEFORE_NAMESPACE();
namespace orthospike::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// One vector of Quantise. Clamping keeps NaN, as std::clamp does.
template <class D>
void quantise_lanes(D tag, float scale, float levels, float* values) {
  const auto bound = hn::Set(tag, scale);
  const auto top = hn::Set(tag, levels);
  const auto value = hn::LoadU(tag, values);
  const auto bounded = hn::IfThenElse(hn::Gt(value, bound), bound,
                                      hn::IfThenElse(hn::Lt(value, hn::Neg(bound)), hn::Neg(bound), value));
  const auto level = hn::Round(hn::Mul(hn::Div(bounded, bound), top));
  hn::StoreU(hn::Mul(hn::Div(level, top), bound), tag, values);
}

void quantise_values(float scale, float levels, float* values, std::size_t size) {
  const hn::ScalableTag<float> tag;
  const std::size_t lanes = hn::Lanes(tag);
  std::size_t i = 0;
  for (; i + lanes <= size; i += lanes) quantise_lanes(tag, scale, levels, values + i);
  for (; i < size; ++i) quantise_lanes(hn::CappedTag<float, 1>(), scale, levels, values + i);
}

/// All steps of one vector of neurons (SpikeSigned). Spikes are counted in floats, exact up to 2^24
/// steps.
template <class D>
void spike_lanes(D tag, float scale, std::size_t steps, float* values, std::uint32_t* spikes) {
  const auto current = hn::LoadU(tag, values);
  const auto reset = hn::Set(tag, scale);
  const auto firing = hn::Set(tag, scale / 2);
  const auto one = hn::Set(tag, 1.0F);
  auto u = hn::Zero(tag);
  auto balance = hn::Zero(tag);
  auto emitted = hn::Zero(tag);
  for (std::size_t t = 0; t < steps; ++t) {
    u = hn::Add(u, current);
    const auto fires = hn::Ge(hn::Abs(u), firing);
    balance = hn::Add(balance, hn::IfThenElseZero(fires, hn::CopySign(one, u)));
    emitted = hn::Add(emitted, hn::IfThenElseZero(fires, one));
    u = hn::Sub(u, hn::IfThenElseZero(fires, hn::CopySign(reset, u)));
  }
  const auto response = hn::Mul(hn::Div(balance, hn::Set(tag, static_cast<float>(steps))), reset);
  hn::StoreU(hn::IfThenElse(hn::IsNaN(u), u, response), tag, values);
  const hn::Rebind<std::int32_t, D> integers;
  const hn::Rebind<std::uint32_t, D> counts;
  hn::StoreU(hn::BitCast(counts, hn::ConvertTo(integers, emitted)), counts, spikes);
}

void spike_values(float scale, std::size_t steps, float* values, std::uint32_t* spikes, std::size_t size) {
  const hn::ScalableTag<float> tag;
  const std::size_t lanes = hn::Lanes(tag);
  std::size_t i = 0;
  for (; i + lanes <= size; i += lanes) spike_lanes(tag, scale, steps, values + i, spikes + i);
  for (; i < size; ++i) spike_lanes(hn::CappedTag<float, 1>(), scale, steps, values + i, spikes + i);
}

/// One row of SettleBySpikes; inverse_heights [n]: 1 / (height (1 + L_ii)). Vectors of neurons are
/// searched for the next that fires; only its spikes change potentials.
void settle_row(float height, std::size_t sweeps, const float* inhibition, const float* inverse_heights,
                std::size_t n, float* potential, float* activity) {
  const hn::ScalableTag<float> tag;
  const std::size_t lanes = hn::Lanes(tag);
  const auto half = hn::Set(tag, 0.5F);
  std::fill(activity, activity + n, 0.0F);
  bool fired = true;
  const auto fire = [&](std::size_t i) {
    fired = true;
    const float* const weights = inhibition + i * n;
    const float change = std::nearbyint(potential[i] * inverse_heights[i]) * height;
    const auto changes = hn::Set(tag, change);
    std::size_t j = 0;
    for (; j + lanes <= n; j += lanes) {
      const auto left = hn::NegMulAdd(changes, hn::LoadU(tag, weights + j), hn::LoadU(tag, potential + j));
      hn::StoreU(left, tag, potential + j);
    }
    for (; j < n; ++j) potential[j] = std::fma(-change, weights[j], potential[j]);
    potential[i] -= change;
    activity[i] += change;
  };
  for (std::size_t sweep = 0; sweep < sweeps && fired; ++sweep) {
    fired = false;
    for (std::size_t i = 0; i < n;) {
      if (i + lanes <= n) {
        const auto scaled = hn::Mul(hn::LoadU(tag, potential + i), hn::LoadU(tag, inverse_heights + i));
        const auto silent = hn::Le(hn::Abs(scaled), half);  // also half a spike is none, a NaN is one
        const std::intptr_t first = hn::FindFirstTrue(tag, hn::Not(silent));
        i += first < 0 ? lanes : static_cast<std::size_t>(first);
        if (first < 0) continue;
        fire(i);
      } else if (!(std::abs(potential[i] * inverse_heights[i]) <= 0.5F)) {
        fire(i);
      }
      ++i;
    }
  }
  if (std::any_of(potential, potential + n, [](float value) { return std::isnan(value); }))
    std::fill(activity, activity + n, std::numeric_limits<float>::quiet_NaN());
}

}  // namespace orthospike::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthospike {

namespace {

HWY_EXPORT(quantise_values);
HWY_EXPORT(spike_values);
HWY_EXPORT(settle_row);

}  // namespace

void execute(CpuBackend& cpu, const Quantise& op) {
  for_each_range(cpu.pool(), op.values.size(), elementwise_piece,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   HWY_DYNAMIC_DISPATCH(quantise_values)
                   (op.scale, static_cast<float>(op.levels), &host(op.values)[first], last - first);
                 });
}

void execute(CpuBackend& cpu, const SpikeSigned& op) {
  const std::size_t piece = std::max<std::size_t>(1, elementwise_piece / op.steps);
  for_each_range(cpu.pool(), op.values.size(), piece, [&](std::size_t, std::size_t first, std::size_t last) {
    HWY_DYNAMIC_DISPATCH(spike_values)
    (op.scale, op.steps, &host(op.values)[first], &host(op.spikes)[first], last - first);
  });
}

void execute(CpuBackend& cpu, const SettleBySpikes& op) {
  const auto inhibition = host(op.inhibition);
  const std::size_t n = inhibition.cols;
  const auto inverse_heights = host(cpu.scratch(1, n).values);
  for (std::size_t i = 0; i < n; ++i) inverse_heights[i] = 1.0F / (op.height * (1.0F + inhibition(i, i)));
  cpu.pool().for_each(op.potential.rows, [&](std::size_t row) {
    HWY_DYNAMIC_DISPATCH(settle_row)
    (op.height, op.sweeps, inhibition.values.data(), inverse_heights.data(), n,
     host(op.potential).row(row).data(), host(op.activity).row(row).data());
  });
}

template std::shared_ptr<LateralCircuits> make_family(CpuBackend&, double&);

}  // namespace orthospike
#endif
