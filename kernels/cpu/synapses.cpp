#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/synapses.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first: this file is compiled once for each instruction set.
#include <hwy/highway.h>

#include <algorithm>
#include <array>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/host_view.hpp"
#include "kernels/random.hpp"
#include "kernels/synapses.hpp"

HWY_BEFORE_NAMESPACE();
namespace orthospike::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Of a vector of blocks each.
constexpr std::size_t most_blocks = 16, most_words = 4 * most_blocks;

#if HWY_TARGET == HWY_SCALAR

std::size_t blocks_at_once() {
  return 1;
}

/// words ← those of random_block(key, first + b), one block after another, for b below blocks_at_once().
void random_words(const RandomKey& key, std::uint64_t first, std::uint32_t* words) {
  std::ranges::copy(random_block(key, first).v, words);
}

#else

using WordTag = hn::CappedTag<std::uint32_t, most_blocks>;
using Words = hn::Vec<WordTag>;

std::size_t blocks_at_once() {
  return hn::Lanes(WordTag());
}

/// Both halves of the products of words with one.
HWY_INLINE void multiply(Words a, std::uint32_t by, Words& high, Words& low) {
  const WordTag tag;
  const hn::Repartition<std::uint64_t, WordTag> wide;
  const Words factor = hn::Set(tag, by);
  const auto even = hn::MulEven(a, factor);
  const auto odd = hn::MulEven(hn::BitCast(tag, hn::ShiftRight<32>(hn::BitCast(wide, a))), factor);
  high = hn::OddEven(hn::BitCast(tag, odd), hn::BitCast(tag, hn::ShiftRight<32>(even)));
  low = hn::OddEven(hn::BitCast(tag, hn::ShiftLeft<32>(odd)), hn::BitCast(tag, even));
}

/// words ← those of random_block(key, first + b), one block after another, for b below blocks_at_once(): Philox4x32-10
/// (Salmon et al., SC 2011) of a block in each lane.
void random_words(const RandomKey& key, std::uint64_t first, std::uint32_t* words) {
  const WordTag tag;
  const auto low = static_cast<std::uint32_t>(first);
  Words a = hn::Add(hn::Set(tag, low), hn::Iota(tag, 0));
  // Where the lower half wraps, the upper one is one more.
  const Words carry = hn::IfThenElseZero(hn::Lt(a, hn::Set(tag, low)), hn::Set(tag, 1));
  Words b = hn::Add(hn::Set(tag, static_cast<std::uint32_t>(first >> 32)), carry);
  Words c = hn::Set(tag, static_cast<std::uint32_t>(key.purpose)), d = hn::Set(tag, key.stream);
  auto of_a = static_cast<std::uint32_t>(key.seed), of_c = static_cast<std::uint32_t>(key.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    Words high_a, low_a, high_c, low_c;
    multiply(a, 0xD2511F53, high_a, low_a);
    multiply(c, 0xCD9E8D57, high_c, low_c);
    a = hn::Xor(hn::Xor(high_c, b), hn::Set(tag, of_a));
    b = low_c;
    c = hn::Xor(hn::Xor(high_a, d), hn::Set(tag, of_c));
    d = low_a;
    of_a += 0x9E3779B9;
    of_c += 0xBB67AE85;
  }
  hn::StoreInterleaved4(a, b, c, d, tag, words);
}

#endif

/// Tables longer than this are searched by bisection.
constexpr std::size_t longest_scanned = 48;

/// numbers ← the Poisson numbers of words, up to a whole vector of them.
void find_numbers(std::span<const std::uint32_t> below, const std::uint32_t* words, std::size_t count,
                  std::uint32_t* numbers) {
  if (below.size() > longest_scanned) {
    for (std::size_t k = 0; k < count; ++k)
      numbers[k] = static_cast<std::uint32_t>(std::ranges::upper_bound(below, words[k]) - below.begin());
    return;
  }
  const hn::CappedTag<std::uint32_t, most_blocks> tag;
  for (std::size_t k = 0; k < count; k += hn::Lanes(tag)) {
    const auto word = hn::LoadU(tag, words + k);
    auto number = hn::Set(tag, static_cast<std::uint32_t>(below.size()));
    for (const std::uint32_t bound : below) {
      const auto is_below = hn::VecFromMask(tag, hn::Lt(word, hn::Set(tag, bound)));  // 2³² - 1 or 0
      number = hn::Add(number, is_below);
    }
    hn::StoreU(number, tag, numbers + k);
  }
}

/// numbers ← those of AddPoisson, from that element of the stream on.
void poisson_numbers(const RandomKey& key, std::span<const std::uint32_t> below, std::uint64_t element,
                     std::span<std::uint32_t> numbers) {
  const std::size_t blocks = blocks_at_once();
  std::uint32_t words[most_words], found[most_words];
  for (std::size_t i = 0; i < numbers.size();) {
    const std::size_t skipped = (element + i) % 4;  // of the first block
    const std::size_t count = std::min(4 * blocks - skipped, numbers.size() - i);
    random_words(key, (element + i) / 4, words);
    find_numbers(below, words, skipped + count, found);
    std::copy_n(found + skipped, count, &numbers[i]);
    i += count;
  }
}

}  // namespace orthospike::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
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

HWY_EXPORT(poisson_numbers);

/// That are found before they are added.
constexpr std::size_t numbers_at_once = 1024;

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

/// They are added here, where no instruction set fuses a product and a sum that another rounds apart.
void execute(CpuBackend& cpu, const AddPoisson& op) {
  const auto values = host(op.values.values);
  const std::uint64_t start = op.first * op.values.cols;
  for_each_range(cpu.pool(), values.size(), elementwise_piece,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   std::array<std::uint32_t, numbers_at_once> room;
                   for (std::size_t i = first; i < last; i += numbers_at_once) {
                     const std::span numbers = std::span(room).first(std::min(numbers_at_once, last - i));
                     HWY_DYNAMIC_DISPATCH(poisson_numbers)(op.key, host(op.below), start + i, numbers);
                     for (std::size_t k = 0; k < numbers.size(); ++k)
                       values[i + k] += op.weight * static_cast<float>(numbers[k]);
                   }
                 });
}

template std::shared_ptr<SynapseSteps> make_family(CpuBackend&, double&);

}  // namespace orthospike
#endif
