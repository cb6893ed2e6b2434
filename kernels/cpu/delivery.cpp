#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/delivery.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first: this file is compiled once for each instruction set.
#include <cblas.h>
#include <hwy/highway.h>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"

HWY_BEFORE_NAMESPACE();
namespace orthospike::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;

/// Vectors of targets that one pass over the events accumulates in registers. Eight of the widest vectors
/// (128 targets) of 800 presynaptic neurons are 400 KB of weights: they stay in the second-level cache over
/// all rows.
constexpr std::size_t widest_pass = 8;

/// out[0 … width·lanes) ← scale · Σ over events of weights[event · targets + …]
template <std::size_t width>
void accumulate(const std::uint32_t* events, std::uint32_t count, const float* weights, std::size_t targets,
                float scale, float* out) {
  const FloatTag tag;
  const std::size_t lanes = hn::Lanes(tag);
  auto sum0 = hn::Zero(tag), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  auto sum4 = sum0, sum5 = sum0, sum6 = sum0, sum7 = sum0;
  for (std::uint32_t event = 0; event < count; ++event) {
    const float* outgoing = weights + events[event] * targets;
    sum0 = hn::Add(sum0, hn::LoadU(tag, outgoing));
    if constexpr (width > 1) sum1 = hn::Add(sum1, hn::LoadU(tag, outgoing + lanes));
    if constexpr (width > 2) {
      sum2 = hn::Add(sum2, hn::LoadU(tag, outgoing + 2 * lanes));
      sum3 = hn::Add(sum3, hn::LoadU(tag, outgoing + 3 * lanes));
    }
    if constexpr (width > 4) {
      sum4 = hn::Add(sum4, hn::LoadU(tag, outgoing + 4 * lanes));
      sum5 = hn::Add(sum5, hn::LoadU(tag, outgoing + 5 * lanes));
      sum6 = hn::Add(sum6, hn::LoadU(tag, outgoing + 6 * lanes));
      sum7 = hn::Add(sum7, hn::LoadU(tag, outgoing + 7 * lanes));
    }
  }
  const auto factor = hn::Set(tag, scale);
  hn::StoreU(hn::Mul(sum0, factor), tag, out);
  if constexpr (width > 1) hn::StoreU(hn::Mul(sum1, factor), tag, out + lanes);
  if constexpr (width > 2) {
    hn::StoreU(hn::Mul(sum2, factor), tag, out + 2 * lanes);
    hn::StoreU(hn::Mul(sum3, factor), tag, out + 3 * lanes);
  }
  if constexpr (width > 4) {
    hn::StoreU(hn::Mul(sum4, factor), tag, out + 4 * lanes);
    hn::StoreU(hn::Mul(sum5, factor), tag, out + 5 * lanes);
    hn::StoreU(hn::Mul(sum6, factor), tag, out + 6 * lanes);
    hn::StoreU(hn::Mul(sum7, factor), tag, out + 7 * lanes);
  }
}

/// The last targets, fewer than one vector.
void accumulate_rest(const std::uint32_t* events, std::uint32_t count, const float* weights,
                     std::size_t targets, std::size_t rest, float scale, float* out) {
  for (std::size_t j = 0; j < rest; ++j) {
    float sum = 0;
    for (std::uint32_t event = 0; event < count; ++event) sum += weights[events[event] * targets + j];
    out[j] = sum * scale;
  }
}

/// Targets of one pass that starts at `target`: as many whole vectors (8, 4, 2, 1) as are left, else the
/// rest.
std::size_t pass_targets(std::size_t target, std::size_t targets) {
  const std::size_t lanes = hn::Lanes(FloatTag());
  for (std::size_t width = widest_pass; width > 0; width /= 2) {
    if (target + width * lanes <= targets) return width * lanes;
  }
  return targets - target;
}

/// currents[first … last, target … target + pass_targets)
void deliver_pass(const ConstSpikes& spikes, const ConstMatrix& weights, std::size_t target,
                  std::size_t first, std::size_t last, float scale, const Matrix& currents) {
  const std::size_t targets = weights.cols;
  const std::size_t lanes = hn::Lanes(FloatTag());
  const std::size_t pass = pass_targets(target, targets);
  for (std::size_t row = first; row < last; ++row) {
    const std::uint32_t* events = spikes.indices.address() + row * spikes.neurons;
    const std::uint32_t count = spikes.counts.address()[row];
    const float* from = weights.address() + target;
    float* out = currents.address() + row * targets + target;
    if (pass == 8 * lanes) {
      accumulate<8>(events, count, from, targets, scale, out);
    } else if (pass == 4 * lanes) {
      accumulate<4>(events, count, from, targets, scale, out);
    } else if (pass == 2 * lanes) {
      accumulate<2>(events, count, from, targets, scale, out);
    } else if (pass == lanes) {
      accumulate<1>(events, count, from, targets, scale, out);
    } else {
      accumulate_rest(events, count, from, targets, pass, scale, out);
    }
  }
}

/// Columns of c that one piece of correlate computes: two vectors of a thousand neurons are 128 KB, which stay in
/// the second-level cache over all rows.
constexpr std::size_t correlated_vectors = 2;

std::size_t correlated_columns() {
  return correlated_vectors * hn::Lanes(FloatTag());
}

/// Columns [first, last) of c.
void correlate_columns(float alpha, const ConstSpikes& spikes, const ConstMatrix& b, float beta,
                       const Matrix& c, std::size_t first, std::size_t last) {
  for (std::size_t i = 0; i < c.rows; ++i) {
    float* const row = c.address() + i * c.cols;
    for (std::size_t j = first; j < last; ++j) row[j] = beta == 0.0F ? 0.0F : beta * row[j];
  }
  const FloatTag tag;
  const std::size_t lanes = hn::Lanes(tag);
  const auto factor = hn::Set(tag, alpha);
  for (std::size_t row = 0; row < spikes.rows; ++row) {
    const std::uint32_t* const events = spikes.indices.address() + row * spikes.neurons;
    const std::uint32_t count = spikes.counts.address()[row];
    const float* const from = b.address() + row * b.cols;
    std::size_t j = first;
    for (; j + 2 * lanes <= last; j += 2 * lanes) {
      const auto left = hn::Mul(factor, hn::LoadU(tag, from + j));
      const auto right = hn::Mul(factor, hn::LoadU(tag, from + j + lanes));
      for (std::uint32_t event = 0; event < count; ++event) {
        float* const to = c.address() + events[event] * c.cols + j;
        hn::StoreU(hn::Add(left, hn::LoadU(tag, to)), tag, to);
        hn::StoreU(hn::Add(right, hn::LoadU(tag, to + lanes)), tag, to + lanes);
      }
    }
    for (; j < last; ++j) {
      const float value = alpha * from[j];
      for (std::uint32_t event = 0; event < count; ++event) c.address()[events[event] * c.cols + j] += value;
    }
  }
}

}  // namespace orthospike::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthospike {

namespace {

HWY_EXPORT(pass_targets);
HWY_EXPORT(deliver_pass);
HWY_EXPORT(correlated_columns);
HWY_EXPORT(correlate_columns);

/// Share of active neurons above which a dense product is faster than correlating along events.
constexpr double correlation_crossover = 0.3;

/// Rows of one piece of work: enough of them to pay for starting a thread.
std::size_t rows_per_piece(std::size_t neurons) {
  constexpr std::size_t inputs_per_piece = 51200;
  return std::max<std::size_t>(16, inputs_per_piece / neurons);
}

double density(const ConstSpikes& spikes) {
  std::uint64_t total = 0;
  for (std::size_t row = 0; row < spikes.rows; ++row) total += spikes.counts.address()[row];
  return static_cast<double>(total) / static_cast<double>(spikes.rows * spikes.neurons);
}

}  // namespace

void CpuBackend::do_deliver(ConstSpikes spikes, ConstMatrix weights, View<const float> height, float dt,
                            Delivery delivery, float crossover, Matrix currents) {
  const float scale = height.address()[0] / dt;
  const std::size_t chunk = rows_per_piece(spikes.neurons);
  const bool dense =
      delivery == Delivery::dense || (delivery == Delivery::automatic && density(spikes) > crossover);
  if (dense) {
    const Matrix active = scratch(spikes.rows, spikes.neurons);
    do_expand_spikes(spikes, active);
    do_multiply(scale, active, Transpose::no, weights, Transpose::no, 0.0F, currents, currents);
    return;
  }

  // Pieces of the same pass are neighbours: each thread keeps to few passes, whose weights stay in its cache.
  std::vector<std::size_t> passes;
  for (std::size_t target = 0; target < weights.cols;) {
    passes.push_back(target);
    target += HWY_DYNAMIC_DISPATCH(pass_targets)(target, weights.cols);
  }
  const std::size_t chunks = (spikes.rows + chunk - 1) / chunk;
  for_each_piece(passes.size() * chunks, threads_, [&](std::size_t piece) {
    const std::size_t first = piece % chunks * chunk;
    HWY_DYNAMIC_DISPATCH(deliver_pass)
    (spikes, weights, passes[piece / chunks], first, std::min(first + chunk, spikes.rows), scale, currents);
  });
}

void CpuBackend::do_correlate(float alpha, ConstSpikes spikes, ConstMatrix b, float beta, Matrix c) {
  if (density(spikes) > correlation_crossover) {
    const Matrix active = scratch(spikes.rows, spikes.neurons);
    do_expand_spikes(spikes, active);
    do_multiply(alpha, active, Transpose::yes, b, Transpose::no, beta, c, c);
    return;
  }
  for_each_range(c.cols, HWY_DYNAMIC_DISPATCH(correlated_columns)(), threads_,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   HWY_DYNAMIC_DISPATCH(correlate_columns)(alpha, spikes, b, beta, c, first, last);
                 });
}

}  // namespace orthospike
#endif
