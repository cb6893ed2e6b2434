#include "kernels/synapses.hpp"

#include <algorithm>
#include <array>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/host_view.hpp"
#include "kernels/random.hpp"

namespace orthospike {

namespace {

/// Synapses that lie side by side.
struct Segment {
  std::uint32_t first, last;
};

/// How many spikes ahead the places of their synapses are fetched, and how many the synapses: a source's lie anywhere.
constexpr std::size_t starts_ahead = 16, synapses_ahead = 8;

template <bool own_weights>
void add_segment(const SynapseTable& table, const Segment& segment, std::uint32_t source, float* arriving) {
  const std::uint16_t* const within = table.within.address();
  const float* const weights = table.weights.address();
  const float weight = own_weights ? 0.0F : weights[source];
  for (std::uint32_t k = segment.first; k < segment.last; ++k)
    arriving[within[k]] += own_weights ? weights[k] : weight;
}

template <bool own_weights>
void fetch(const SynapseTable& table, const Segment& segment) {
  constexpr std::uint32_t of_line = 64 / (own_weights ? sizeof(float) : sizeof(std::uint16_t));
  for (std::uint32_t k = segment.first; k < segment.last; k += of_line) {
    __builtin_prefetch(table.within.address() + k);
    if (own_weights) __builtin_prefetch(table.weights.address() + k);
  }
}

/// What arrives in one step at the targets of one block.
template <bool own_weights>
void deliver(const DeliverSynapses& op, std::size_t s, std::size_t block) {
  const SynapseTable& table = op.synapses;
  const std::size_t delays = table.delays.size(), first_target = block * table.block;
  float* const arriving = op.arriving.address() + s * table.targets + first_target;
  const std::size_t targets = std::min(table.block, table.targets - first_target);
  for (std::size_t j = 0; j < targets; ++j) arriving[j] = op.beta == 0.0F ? 0.0F : op.beta * arriving[j];
  for (std::size_t d = 0; d < delays; ++d) {
    const std::uint32_t delay = host(table.delays)[d];
    if (delay > op.now + s) break;
    const auto spikes = spikes_of_row(op.spikes, (op.now + s - delay) % op.spikes.rows);
    const std::uint32_t* const starts = table.starts.address() + block * table.sources * delays + d;
    const auto segment = [&](std::size_t k) {
      return Segment{starts[spikes[k] * delays], starts[spikes[k] * delays + 1]};
    };
    for (std::size_t k = 0; k < spikes.size() + synapses_ahead; ++k) {
      if (k + starts_ahead < spikes.size()) __builtin_prefetch(starts + spikes[k + starts_ahead] * delays);
      if (k < spikes.size()) fetch<own_weights>(table, segment(k));
      if (k >= synapses_ahead)
        add_segment<own_weights>(table, segment(k - synapses_ahead), spikes[k - synapses_ahead], arriving);
    }
  }
}

/// Numbers whose words are compared together.
constexpr std::size_t words_at_once = 64;
/// Tables longer than this are searched by bisection.
constexpr std::size_t longest_scanned = 48;

}  // namespace

/// Blocks and steps are work of their own, each added to in one order.
void execute(CpuBackend& cpu, const DeliverSynapses& op) {
  const std::size_t blocks = op.synapses.blocks();
  cpu.pool().for_each(blocks * op.arriving.rows, [&](std::size_t piece) {
    if (op.synapses.own_weights) {
      deliver<true>(op, piece / blocks, piece % blocks);
    } else {
      deliver<false>(op, piece / blocks, piece % blocks);
    }
  });
}

void execute(CpuBackend& cpu, const AddPoisson& op) {
  const auto below = host(op.below);
  const auto values = host(op.values.values);
  const std::uint64_t start = op.first * op.values.cols;
  for_each_range(cpu.pool(), values.size(), elementwise_piece / 4,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   std::array<std::uint32_t, words_at_once> words{}, numbers{};
                   for (std::size_t i = first; i < last; i += words_at_once) {
                     const std::size_t count = std::min(words_at_once, last - i);
                     for (std::size_t k = 0; k < count;) {
                       const RandomBlock block = random_block(op.key, (start + i + k) / 4);
                       for (std::size_t word = (start + i + k) % 4; word < 4 && k < count; ++word)
                         words[k++] = block.v[word];
                     }
                     if (below.size() <= longest_scanned) {
                       numbers.fill(0);
                       for (const std::uint32_t bound : below) {
                         for (std::size_t k = 0; k < words_at_once; ++k) numbers[k] += words[k] >= bound;
                       }
                     } else {
                       for (std::size_t k = 0; k < count; ++k)
                         numbers[k] = static_cast<std::uint32_t>(std::ranges::upper_bound(below, words[k]) -
                                                                 below.begin());
                     }
                     for (std::size_t k = 0; k < count; ++k)
                       values[i + k] += op.weight * static_cast<float>(numbers[k]);
                   }
                 });
}

template std::shared_ptr<SynapseSteps> make_family(CpuBackend&, double&);

}  // namespace orthospike
