#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/subspace.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first: this file is compiled once for each instruction set.
#include <cblas.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/parallel.hpp"

HWY_BEFORE_NAMESPACE();
namespace orthospike::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// The element-wise part of a Hebbian step over `size` weights. Clamping keeps NaN, as std::clamp does.
void follow_correlation(const HebbianStep& step, const float* correlation, float* velocity, float* h,
                        std::size_t size) {
  const hn::ScalableTag<float> tag;
  const std::size_t lanes = hn::Lanes(tag);
  const auto kept = hn::Set(tag, step.momentum);
  const auto taken = hn::Set(tag, 1.0F - step.momentum);
  const auto scale = hn::Set(tag, step.scale);
  const auto highest = hn::Set(tag, step.clamp);
  const auto lowest = hn::Set(tag, -step.clamp);
  const auto rate = hn::Set(tag, step.learning_rate);
  std::size_t i = 0;
  for (; i + lanes <= size; i += lanes) {
    const auto scaled = hn::Mul(scale, hn::LoadU(tag, correlation + i));
    const auto bounded = hn::IfThenElse(hn::Gt(scaled, highest), highest,
                                        hn::IfThenElse(hn::Lt(scaled, lowest), lowest, scaled));
    const auto v = hn::MulAdd(kept, hn::LoadU(tag, velocity + i), hn::Mul(taken, bounded));
    hn::StoreU(v, tag, velocity + i);
    hn::StoreU(hn::MulAdd(rate, v, hn::LoadU(tag, h + i)), tag, h + i);
  }
  for (; i < size; ++i) {
    const float change = std::clamp(step.scale * correlation[i], -step.clamp, step.clamp);
    velocity[i] = step.momentum * velocity[i] + (1.0F - step.momentum) * change;
    h[i] += step.learning_rate * velocity[i];
  }
}

/// One vector of Backend::quantise. Clamping keeps NaN, as std::clamp does.
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

/// All steps of one vector of neurons (Backend::spike_signed). Spikes are counted in floats, exact up to 2^24
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

/// One row of Backend::settle_by_spikes; inverse_heights [n]: 1 / (height (1 + L_ii)). Vectors of neurons are
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

HWY_EXPORT(follow_correlation);
HWY_EXPORT(quantise_values);
HWY_EXPORT(spike_values);
HWY_EXPORT(settle_row);

void follow(const HebbianStep& step, const float* correlation, const Matrix& velocity, const Matrix& h,
            std::size_t first, std::size_t last) {
  HWY_DYNAMIC_DISPATCH(follow_correlation)
  (step, correlation + first, velocity.address() + first, h.address() + first, last - first);
}

}  // namespace

void CpuBackend::do_remove_subspace(ConstMatrix h, ConstMatrix x, Matrix residual) {
  if (h.empty() || x.empty()) {
    if (x.address() != residual.address())
      do_copy(x.address(), residual.address(), x.values.size() * sizeof(float));
    return;
  }
  const Matrix response = scratch(x.rows, h.rows);
  const std::size_t pieces = product_pieces(2 * x.rows * h.rows * x.cols);
  constexpr std::size_t fewest_rows = 32;  // for each strip h is transposed anew
  const std::size_t strip = std::max(fewest_rows, (x.rows + pieces - 1) / pieces);
  for_each_range(pool_, x.rows, strip, [&](std::size_t, std::size_t first, std::size_t last) {
    const std::size_t rows = last - first;
    const Matrix of_strip = response.row_range(first, rows);
    const float* const from = x.row_range(first, rows).address();
    float* const to = residual.row_range(first, rows).address();
    gemm(rows, h.rows, h.cols, 1.0F, {from, x.cols}, {h.address(), h.cols, Transpose::yes}, 0.0F,
         of_strip.address(), h.rows);
    if (from != to) std::copy_n(from, rows * x.cols, to);
    gemm(rows, h.cols, h.rows, -1.0F, {of_strip.address(), h.rows}, {h.address(), h.cols}, 1.0F, to, h.cols);
  });
}

void CpuBackend::do_quantise(float scale, std::size_t levels, View<float> values) {
  for_each_range(pool_, values.size(), elementwise_piece,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   HWY_DYNAMIC_DISPATCH(quantise_values)
                   (scale, static_cast<float>(levels), values.address() + first, last - first);
                 });
}

void CpuBackend::do_spike_signed(float scale, std::size_t steps, View<float> values,
                                 View<std::uint32_t> spikes) {
  const std::size_t piece = std::max<std::size_t>(1, elementwise_piece / steps);
  for_each_range(pool_, values.size(), piece, [&](std::size_t, std::size_t first, std::size_t last) {
    HWY_DYNAMIC_DISPATCH(spike_values)
    (scale, steps, values.address() + first, spikes.address() + first, last - first);
  });
}

void CpuBackend::do_settle_by_spikes(float height, std::size_t sweeps, ConstMatrix inhibition,
                                     Matrix potential, Matrix activity) {
  const std::size_t n = inhibition.cols;
  float* const inverse_heights = scratch(1, n).address();
  for (std::size_t i = 0; i < n; ++i)
    inverse_heights[i] = 1.0F / (height * (1.0F + inhibition.address()[i * n + i]));
  pool_.for_each(potential.rows, [&](std::size_t row) {
    HWY_DYNAMIC_DISPATCH(settle_row)
    (height, sweeps, inhibition.address(), inverse_heights, n, potential.address() + row * n,
     activity.address() + row * n);
  });
}

void CpuBackend::do_hebbian_step(const HebbianStep& step, ConstMatrix correlation, Matrix velocity,
                                 Matrix h) {
  for_each_range(pool_, h.values.size(), elementwise_piece,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   follow(step, correlation.address(), velocity, h, first, last);
                 });
}

/// Strips of subspace neurons, each small enough that its correlations are still in the cache when they are
/// used.
void CpuBackend::do_hebbian_step(const HebbianStep& step, ConstMatrix response, ConstMatrix residual,
                                 Matrix velocity, Matrix h) {
  const std::size_t n = h.cols;
  const Matrix correlation = scratch(h.rows, n);
  const std::size_t pieces = product_pieces(response.rows * h.rows * n);
  const std::size_t strip = (h.rows + pieces - 1) / pieces;
  for_each_range(pool_, h.rows, strip, [&](std::size_t, std::size_t first, std::size_t last) {
    gemm(last - first, n, response.rows, 1.0F, {response.address() + first, response.cols, Transpose::yes},
         {residual.address(), n}, 0.0F, correlation.address() + first * n, n);
    follow(step, correlation.address(), velocity, h, first * n, last * n);
  });
}

/// Serial over rows; each is two matrix-vector products with the rows before.
void CpuBackend::do_orthonormalise_rows(Matrix h, std::size_t first) {
  const int n = static_cast<int>(h.cols);
  for (std::size_t i = first; i < h.rows; ++i) {
    float* const row = h.address() + i * h.cols;
    const int earlier = static_cast<int>(i);
    for (int pass = 0; pass < 2; ++pass) {
      if (earlier > 0) {
        float* const overlap = scratch(1, i).address();
        cblas_sgemv(CblasRowMajor, CblasNoTrans, earlier, n, 1.0F, h.address(), n, row, 1, 0.0F, overlap, 1);
        cblas_sgemv(CblasRowMajor, CblasTrans, earlier, n, -1.0F, h.address(), n, overlap, 1, 1.0F, row, 1);
      }
      cblas_sscal(n, 1.0F / cblas_snrm2(n, row, 1), row, 1);
    }
  }
}

}  // namespace orthospike
#endif
