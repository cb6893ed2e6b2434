#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/subspaces.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first: this file is compiled once for each instruction set.
#include <cblas.h>
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/host_view.hpp"
#include "kernels/subspaces.hpp"

HWY_BEFORE_NAMESPACE();
namespace orthospike::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// The element-wise part of a Hebbian step over `size` weights. Clamping keeps NaN, as std::clamp does.
void follow_correlation(const HebbianRates& rates, const float* correlation, float* velocity, float* h,
                        std::size_t size) {
  const hn::ScalableTag<float> tag;
  const std::size_t lanes = hn::Lanes(tag);
  const auto kept = hn::Set(tag, rates.momentum);
  const auto taken = hn::Set(tag, 1.0F - rates.momentum);
  const auto scale = hn::Set(tag, rates.scale);
  const auto highest = hn::Set(tag, rates.clamp);
  const auto lowest = hn::Set(tag, -rates.clamp);
  const auto rate = hn::Set(tag, rates.learning_rate);
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
    const float change = std::clamp(rates.scale * correlation[i], -rates.clamp, rates.clamp);
    velocity[i] = rates.momentum * velocity[i] + (1.0F - rates.momentum) * change;
    h[i] += rates.learning_rate * velocity[i];
  }
}

}  // namespace orthospike::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthospike {

namespace {

HWY_EXPORT(follow_correlation);

void follow(const HebbianRates& rates, const float* correlation, const Matrix& velocity, const Matrix& h,
            std::size_t first, std::size_t last) {
  HWY_DYNAMIC_DISPATCH(follow_correlation)
  (rates, correlation + first, &host(velocity.values)[first], &host(h.values)[first], last - first);
}

}  // namespace

void execute(CpuBackend& cpu, const RemoveSubspace& op) {
  const auto h = host(op.h), x = host(op.x);
  const auto residual = host(op.residual);
  const bool in_place = x.values.data() == residual.values.data();
  if (op.h.empty() || op.x.empty()) {
    if (!in_place) std::ranges::copy(x.values, residual.values.begin());
    return;
  }
  const auto response = host(cpu.scratch(x.rows, h.rows));
  const std::size_t pieces = product_pieces(2 * x.rows * h.rows * x.cols);
  constexpr std::size_t fewest_rows = 32;  // for each strip h is transposed anew
  const std::size_t strip = std::max(fewest_rows, (x.rows + pieces - 1) / pieces);
  for_each_range(cpu.pool(), x.rows, strip, [&](std::size_t, std::size_t first, std::size_t last) {
    const std::size_t rows = last - first;
    float* const of_strip = &response(first, 0);
    float* const to = &residual(first, 0);
    gemm(rows, h.rows, h.cols, 1.0F, {&x(first, 0), x.cols}, {h.values.data(), h.cols, true}, 0.0F, of_strip,
         h.rows);
    if (!in_place) std::copy_n(&x(first, 0), rows * x.cols, to);
    gemm(rows, h.cols, h.rows, -1.0F, {of_strip, h.rows}, {h.values.data(), h.cols}, 1.0F, to, h.cols);
  });
}

void execute(CpuBackend& cpu, const FollowCorrelation& op) {
  for_each_range(cpu.pool(), op.h.values.size(), elementwise_piece,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   follow(op.rates, op.correlation.address(), op.velocity, op.h, first, last);
                 });
}

/// Strips of subspace neurons, each small enough that its correlations are still in the cache when they are
/// used.
void execute(CpuBackend& cpu, const HebbianStep& op) {
  const auto response = host(op.response), residual = host(op.residual);
  const std::size_t rank = op.h.rows, n = op.h.cols;
  const auto correlation = host(cpu.scratch(rank, n));
  const std::size_t pieces = product_pieces(response.rows * rank * n);
  const std::size_t strip = (rank + pieces - 1) / pieces;
  for_each_range(cpu.pool(), rank, strip, [&](std::size_t, std::size_t first, std::size_t last) {
    gemm(last - first, n, response.rows, 1.0F, {response.values.data() + first, response.cols, true},
         {residual.values.data(), n}, 0.0F, &correlation(first, 0), n);
    follow(op.rates, correlation.values.data(), op.velocity, op.h, first * n, last * n);
  });
}

/// Serial over rows; each is two matrix-vector products with the rows before.
void execute(CpuBackend& cpu, const OrthonormaliseRows& op) {
  const auto h = host(op.h);
  const int n = static_cast<int>(h.cols);
  for (std::size_t i = op.first; i < h.rows; ++i) {
    float* const row = h.row(i).data();
    const int earlier = static_cast<int>(i);
    for (int pass = 0; pass < 2; ++pass) {
      if (earlier > 0) {
        float* const overlap = cpu.scratch(1, i).address();
        const float* const rows = h.values.data();
        cblas_sgemv(CblasRowMajor, CblasNoTrans, earlier, n, 1.0F, rows, n, row, 1, 0.0F, overlap, 1);
        cblas_sgemv(CblasRowMajor, CblasTrans, earlier, n, -1.0F, rows, n, overlap, 1, 1.0F, row, 1);
      }
      cblas_sscal(n, 1.0F / cblas_snrm2(n, row, 1), row, 1);
    }
  }
}

template std::shared_ptr<SubspaceSteps> make_family(CpuBackend&, double&);

}  // namespace orthospike
#endif
