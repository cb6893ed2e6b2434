#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/delivery.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first: this file is compiled once for each instruction set.
#include <cblas.h>
#include <hwy/highway.h>

#include <algorithm>

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

/// out[0 … width·lanes) ← scale · Σ over events of weights[event · targets + …] + beta · out
template <std::size_t width, class Tag>
void accumulate(Tag tag, const std::uint32_t* events, std::uint32_t count, const float* weights,
                std::size_t targets, float scale, float beta, float* out) {
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
  const auto rest = hn::Set(tag, beta);
  const auto store = [&](auto sum, std::size_t vector) {
    float* const to = out + vector * lanes;
    hn::StoreU(
        beta == 0.0F ? hn::Mul(sum, factor) : hn::MulAdd(rest, hn::LoadU(tag, to), hn::Mul(sum, factor)), tag,
        to);
  };
  store(sum0, 0);
  if constexpr (width > 1) store(sum1, 1);
  if constexpr (width > 2) {
    store(sum2, 2);
    store(sum3, 3);
  }
  if constexpr (width > 4) {
    store(sum4, 4);
    store(sum5, 5);
    store(sum6, 6);
    store(sum7, 7);
  }
}

/// Targets of one pass that starts at `target`: as many whole vectors (8, 4, 2, 1) as are left, else a part of a
/// vector (8, 4, 2 or 1 targets).
std::size_t pass_targets(std::size_t target, std::size_t targets) {
  std::size_t pass = widest_pass * hn::Lanes(FloatTag());
  while (target + pass > targets) pass /= 2;
  return pass;
}

/// sums[first … last, target … target + pass_targets), of which beta times the former value is kept
void sum_pass(const EventRows& events, const ConstMatrix& weights, std::size_t target, std::size_t first,
              std::size_t last, float scale, float beta, const Matrix& sums) {
  const std::size_t targets = weights.cols;
  const std::size_t lanes = hn::Lanes(FloatTag());
  const std::size_t pass = pass_targets(target, targets);
  for (std::size_t row = first; row < last; ++row) {
    const std::uint32_t* of_row = events.indices + events.start(row);
    const std::uint32_t count = events.counts[row];
    const float* from = weights.address() + target;
    float* out = sums.address() + row * targets + target;
    const auto add = [&]<std::size_t width>(auto tag) {
      accumulate<width>(tag, of_row, count, from, targets, scale, beta, out);
    };
    if (pass == 8 * lanes) {
      add.template operator()<8>(FloatTag());
    } else if (pass == 4 * lanes) {
      add.template operator()<4>(FloatTag());
    } else if (pass == 2 * lanes) {
      add.template operator()<2>(FloatTag());
    } else if (pass == lanes) {
      add.template operator()<1>(FloatTag());
    } else if (pass == 8) {
      add.template operator()<1>(hn::CappedTag<float, 8>());
    } else if (pass == 4) {
      add.template operator()<1>(hn::CappedTag<float, 4>());
    } else if (pass == 2) {
      add.template operator()<1>(hn::CappedTag<float, 2>());
    } else {
      add.template operator()<1>(hn::CappedTag<float, 1>());
    }
  }
}

}  // namespace orthospike::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthospike {

namespace {

HWY_EXPORT(pass_targets);
HWY_EXPORT(sum_pass);

/// Share of active neurons above which a dense product is faster than correlating along events: 0.4 on a core
/// that multiplies at 96 GFLOP/s, less on one that multiplies faster.
constexpr double correlation_crossover = 0.3;

/// Rows of one piece of work: enough of them to pay for starting a thread.
std::size_t rows_per_piece(const EventRows& events) {
  constexpr std::size_t events_per_piece = 12288;
  constexpr std::size_t fewest = 16;
  return std::max(fewest, events_per_piece * events.rows / std::max<std::size_t>(1, events.events));
}

}  // namespace

CpuSpikeIndex& CpuBackend::index_of(const ConstSpikes& spikes) {
  if (spikes.index == nullptr) own_index_.spikes_changed(1);
  CpuSpikeIndex& index = spikes.index == nullptr ? own_index_ : static_cast<CpuSpikeIndex&>(*spikes.index);
  index.update(spikes, pool_);
  return index;
}

void CpuBackend::sum_events(const EventRows& events, ConstMatrix weights, float scale, float beta,
                            Matrix sums) {
  const std::size_t chunk = rows_per_piece(events);
  // Pieces of the same pass are neighbours: at a time threads work on few passes, whose weights stay in their
  // caches. Wide passes come first.
  std::vector<std::size_t> passes;
  for (std::size_t target = 0; target < weights.cols;) {
    passes.push_back(target);
    target += HWY_DYNAMIC_DISPATCH(pass_targets)(target, weights.cols);
  }
  const std::size_t chunks = (events.rows + chunk - 1) / chunk;
  pool_.for_each(passes.size() * chunks, [&](std::size_t piece) {
    const std::size_t first = piece % chunks * chunk;
    HWY_DYNAMIC_DISPATCH(sum_pass)
    (events, weights, passes[piece / chunks], first, std::min(first + chunk, events.rows), scale, beta, sums);
  });
}

void CpuBackend::do_deliver(ConstSpikes spikes, ConstMatrix weights, View<const float> height, float dt,
                            Delivery delivery, float crossover, Matrix currents) {
  const float scale = height.address()[0] / dt;
  const CpuSpikeIndex& index = index_of(spikes);
  if (delivery == Delivery::dense || (delivery == Delivery::automatic && index.relative_cost() > crossover)) {
    const Matrix active = scratch(spikes.rows, spikes.neurons);
    do_expand_spikes(spikes, active);
    do_multiply(scale, active, Transpose::no, weights, Transpose::no, 0.0F, currents, currents);
    return;
  }
  if (index.groups() == 0) {
    sum_events(index.neurons_of_row(), weights, scale, 0.0F, currents);
    return;
  }
  const Matrix of_groups = scratch(index.groups(), weights.cols);
  sum_events(index.neurons_of_group(), weights, 1.0F, 0.0F, of_groups);
  sum_events(index.groups_of_row(), of_groups, scale, 0.0F, currents);
}

/// The delivery seen from the other side: each row of c is a sum over the rows in which its neuron spikes.
void CpuBackend::do_correlate(float alpha, ConstSpikes spikes, ConstMatrix b, float beta, Matrix c) {
  CpuSpikeIndex& index = index_of(spikes);
  if (index.relative_cost() > correlation_crossover) {
    const Matrix active = scratch(spikes.rows, spikes.neurons);
    do_expand_spikes(spikes, active);
    do_multiply(alpha, active, Transpose::yes, b, Transpose::no, beta, c, c);
    return;
  }
  if (index.groups() == 0) {
    sum_events(index.of_neuron(), b, alpha, beta, c);
    return;
  }
  const Matrix of_groups = scratch(index.groups(), b.cols);
  sum_events(index.rows_of_group(), b, 1.0F, 0.0F, of_groups);
  sum_events(index.of_neuron(), of_groups, alpha, beta, c);
}

}  // namespace orthospike
#endif
