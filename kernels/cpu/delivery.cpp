#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/delivery.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first: this file is compiled once for each instruction set.
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/sum_events.hpp"
#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"
#include "kernels/host_view.hpp"

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
    if (count == 0 && beta == 1.0F) continue;
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

/// Rows of one piece of work: enough of them to pay for starting a thread.
std::size_t rows_per_piece(const EventRows& events) {
  constexpr std::size_t events_per_piece = 12288;
  constexpr std::size_t fewest = 16;
  return std::max(fewest, events_per_piece * events.rows / std::max<std::size_t>(1, events.events));
}

/// Where the passes over targets start; wide passes come first.
std::vector<std::size_t> passes_over(std::size_t targets) {
  std::vector<std::size_t> passes;
  for (std::size_t target = 0; target < targets;) {
    passes.push_back(target);
    target += HWY_DYNAMIC_DISPATCH(pass_targets)(target, targets);
  }
  return passes;
}

/// sums [rows × targets] ← scale · Σ over events of a row of weights[event, :] + beta · sums
void sum_events(CpuBackend& cpu, const EventRows& events, ConstMatrix weights, float scale, float beta,
                Matrix sums) {
  const std::size_t chunk = rows_per_piece(events);
  // Pieces of the same pass are neighbours: at a time threads work on few passes, whose weights stay in their
  // caches.
  const std::vector<std::size_t> passes = passes_over(weights.cols);
  const std::size_t chunks = (events.rows + chunk - 1) / chunk;
  cpu.pool().for_each(passes.size() * chunks, [&](std::size_t piece) {
    const std::size_t first = piece % chunks * chunk;
    HWY_DYNAMIC_DISPATCH(sum_pass)
    (events, weights, passes[piece / chunks], first, std::min(first + chunk, events.rows), scale, beta, sums);
  });
}

}  // namespace

void sum_events(const EventRows& events, ConstMatrix weights, float scale, float beta, Matrix sums) {
  for (const std::size_t target : passes_over(weights.cols)) {
    HWY_DYNAMIC_DISPATCH(sum_pass)(events, weights, target, 0, events.rows, scale, beta, sums);
  }
}

void execute(CpuBackend& cpu, const ExpandSpikes& op) {
  const auto x = host(op.x);
  const float value = (op.height.empty() ? 1.0F : host(op.height)[0]) / op.dt;
  const std::size_t rows = std::max<std::size_t>(1, elementwise_piece / x.cols);
  for_each_range(cpu.pool(), x.rows, rows, [&](std::size_t, std::size_t first, std::size_t last) {
    for (std::size_t row = first; row < last; ++row) {
      const auto out = x.row(row);
      std::ranges::fill(out, 0.0F);
      for (const std::uint32_t i : spikes_of_row(op.spikes, row)) out[i] = value;
    }
  });
}

void execute(CpuBackend& cpu, const Deliver& op) {
  const float scale = host(op.height)[0] / op.dt;
  const CpuSpikeIndex& index = cpu.index_of(op.spikes);
  if (op.form == DeliveryForm::dense ||
      (op.form == DeliveryForm::automatic && index.relative_cost() > op.crossover)) {
    const Matrix active = cpu.scratch(op.spikes.rows, op.spikes.neurons);
    execute(cpu, ExpandSpikes{.spikes = op.spikes, .x = active});
    execute(cpu, Multiply{.alpha = scale, .a = active, .b = op.weights, .c = op.currents});
    return;
  }
  if (index.groups() == 0) {
    sum_events(cpu, index.neurons_of_row(), op.weights, scale, 0.0F, op.currents);
    return;
  }
  const Matrix of_groups = cpu.scratch(index.groups(), op.weights.cols);
  sum_events(cpu, index.neurons_of_group(), op.weights, 1.0F, 0.0F, of_groups);
  sum_events(cpu, index.groups_of_row(), of_groups, scale, 0.0F, op.currents);
}

/// The delivery seen from the other side: each row of c is a sum over the rows in which its neuron spikes.
void execute(CpuBackend& cpu, const Correlate& op) {
  CpuSpikeIndex& index = cpu.index_of(op.spikes);
  if (index.relative_cost() > correlation_crossover) {
    const Matrix active = cpu.scratch(op.spikes.rows, op.spikes.neurons);
    execute(cpu, ExpandSpikes{.spikes = op.spikes, .x = active});
    execute(
        cpu,
        Multiply{.alpha = op.alpha, .a = active, .transpose_a = true, .b = op.b, .beta = op.beta, .c = op.c});
    return;
  }
  if (index.groups() == 0) {
    sum_events(cpu, index.of_neuron(), op.b, op.alpha, op.beta, op.c);
    return;
  }
  const Matrix of_groups = cpu.scratch(index.groups(), op.b.cols);
  sum_events(cpu, index.rows_of_group(), op.b, 1.0F, 0.0F, of_groups);
  sum_events(cpu, index.of_neuron(), of_groups, op.alpha, op.beta, op.c);
}

void execute(CpuBackend&, const CountSpikes& op) {
  for (const std::uint32_t count : host(op.counts)) host(op.total)[0] += count;
}

template std::shared_ptr<SpikeDelivery> make_family(CpuBackend&, double&);

}  // namespace orthospike
#endif
