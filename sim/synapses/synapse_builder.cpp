#include "sim/synapses/synapse_builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "kernels/cpu/thread_pool.hpp"
#include "kernels/error.hpp"
#include "kernels/random.hpp"

namespace orthospike {

namespace {

constexpr std::size_t most_steps = 65535;
constexpr std::size_t most_synapses = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t rows_together = 64;  ///< of a piece of work

/// Elements that the host writes: in a back end's memory, or beside it until they are uploaded.
template <class T>
class Staged {
 public:
  Staged(Backend& backend, Array<T>& array, std::size_t size) : backend_(backend), array_(array) {
    array = backend.allocate<T>(size);
    elements_ = backend.in_host_memory(array.view());
    if (elements_.size() == size) return;
    beside_ = std::make_unique_for_overwrite<T[]>(size);
    elements_ = {beside_.get(), size};
  }
  std::span<T> elements() const { return elements_; }
  void upload() {
    if (beside_ == nullptr) return;
    backend_.upload(std::span<const T>(elements_), array_.view());
    beside_.reset();
  }

 private:
  Backend& backend_;
  Array<T>& array_;
  std::unique_ptr<T[]> beside_;
  std::span<T> elements_;
};

/// The key, in the upper half, decides; of the same key the earlier comes first.
class RowSorter {
 public:
  explicit RowSorter(unsigned key_bits) : digits_((key_bits + digit_bits - 1) / digit_bits) {}

  static std::uint64_t item(std::uint32_t key, float weight) {
    return std::uint64_t{key} << 32U | std::bit_cast<std::uint32_t>(weight);
  }
  static std::uint32_t key(std::uint64_t item) { return static_cast<std::uint32_t>(item >> 32U); }
  static float weight(std::uint64_t item) { return std::bit_cast<float>(static_cast<std::uint32_t>(item)); }

  void sort(std::vector<std::uint64_t>& items) {
    // Counting takes longer than this for fewer.
    constexpr std::size_t few = 48;
    if (items.size() < few) {
      for (std::size_t i = 1; i < items.size(); ++i) {
        const std::uint64_t moved = items[i];
        std::size_t place = i;
        for (; place > 0 && key(items[place - 1]) > key(moved); --place) items[place] = items[place - 1];
        items[place] = moved;
      }
      return;
    }
    other_.resize(items.size());
    for (unsigned digit = 0; digit < digits_; ++digit) {
      const unsigned shift = 32U + digit * digit_bits;
      std::array<std::uint32_t, 1U << digit_bits> places{};
      for (const std::uint64_t item : items) ++places[(item >> shift) % places.size()];
      std::uint32_t place = 0;
      for (std::uint32_t& of_value : places) place += std::exchange(of_value, place);
      for (const std::uint64_t item : items) other_[places[(item >> shift) % places.size()]++] = item;
      items.swap(other_);
    }
  }

 private:
  static constexpr unsigned digit_bits = 8;
  unsigned digits_;
  std::vector<std::uint64_t> other_;
};

}  // namespace

/// Rows are drawn twice: first to know how many synapses of each source each block has, then to put them there. Then those
/// of a source in a block are sorted.
class SynapseBuilder {
 public:
  SynapseBuilder(Backend& backend, const std::vector<SynapseSpec>& specs, std::size_t sources,
                 std::size_t targets, double dt, std::uint64_t seed, std::size_t block)
      : backend_(backend), specs_(specs), dt_(dt), seed_(seed), pool_(std::max(1, backend.threads())) {
    require(block > 0 && block <= 65536, "build_synapses", "blocks have not from 1 to 65536 targets");
    require(dt > 0, "build_synapses", "steps have no length");
    built_.sources_ = sources;
    built_.targets_ = targets;
    built_.block_ = std::min(block, std::max<std::size_t>(1, targets));
    blocks_ = (targets + built_.block_ - 1) / built_.block_;
  }

  Synapses build() {
    check();
    find_weights_of_sources();
    for (const SynapseSpec& spec : specs_)
      rows_.emplace_back(spec.rule, spec.ranges, RandomKey{seed_, RandomPurpose::connectivity, stream(spec)},
                         pool_);
    count();
    Staged<std::uint16_t> within(backend_, built_.within_, synapses_);
    std::optional<Staged<float>> own_weights;
    if (built_.own_weights_) own_weights.emplace(backend_, built_.weights_, synapses_);
    within_ = within.elements();
    if (own_weights) weights_ = own_weights->elements();
    place();
    sort();
    within.upload();
    if (own_weights) own_weights->upload();
    return std::move(built_);
  }

 private:
  static std::uint32_t stream(const SynapseSpec& spec) { return spec.number * Distribution::most_attempts; }

  /// The delay in steps; 0 where it is not from 1 to most_steps.
  std::uint16_t steps(double delay) const {
    // A little more than a half, so that 0.05 ms is a step also where dt is the float that is next to 0.1.
    const double rounded = std::floor(delay / dt_ + (0.5 + 1e-6));
    return rounded >= 1 && rounded <= most_steps ? static_cast<std::uint16_t>(rounded) : std::uint16_t{0};
  }
  [[noreturn]] void refuse_delay(const SynapseSpec& spec) const {
    throw ConfigError(fmt::format("{}: delays of {} ms are not all from 1 to {} steps of {} ms", spec.name,
                                  spec.delay.text(), most_steps, dt_));
  }

  void check() {
    double all = 0;
    for (const SynapseSpec& spec : specs_) {
      const ConnectedRanges& ranges = spec.ranges;
      require(ranges.first_source + ranges.sources <= built_.sources_ &&
                  ranges.first_target + ranges.targets <= built_.targets_,
              "build_synapses", "a spec's neurons are not among those of the groups");
      require(spec.number < 1U << 24U, "build_synapses", "a spec's number does not fit 24 bits");
      spec.rule.check(ranges, spec.name);
      all += spec.rule.synapses(ranges);
      const std::optional<double> delay = spec.delay.constant();
      if (delay && steps(*delay) == 0) refuse_delay(spec);
      const std::uint16_t only = delay ? steps(*delay) : std::uint16_t{0};
      own_delays_ = own_delays_ || only == 0 || (only_delay_ != 0 && only_delay_ != only);
      only_delay_ = only;
    }
    check_number(all);
  }
  void check_number(double synapses) const {
    if (synapses <= static_cast<double>(most_synapses)) return;
    throw ConfigError(fmt::format("{}: about {:.3g} synapses between two groups of neurons are more than {}",
                                  specs_.front().name, synapses, most_synapses));
  }

  /// Where all synapses of each source have the same weight, that is kept.
  void find_weights_of_sources() {
    std::vector<std::optional<float>> weights(built_.sources_);
    for (const SynapseSpec& spec : specs_) {
      const std::optional<double> weight = spec.weight.constant();
      for (std::size_t i = 0; i < spec.ranges.sources; ++i) {
        std::optional<float>& of_source = weights[spec.ranges.first_source + i];
        if (!weight || of_source.value_or(static_cast<float>(*weight)) != static_cast<float>(*weight)) {
          built_.own_weights_ = true;
          return;
        }
        of_source = static_cast<float>(*weight);
      }
    }
    Staged<float> kept(backend_, built_.weights_, built_.sources_);
    std::ranges::transform(weights, kept.elements().begin(),
                           [](const std::optional<float>& weight) { return weight.value_or(0.0F); });
    kept.upload();
  }

  std::size_t cell(std::size_t block, std::size_t source) const { return block * built_.sources_ + source; }

  /// Calls work(row, its synapses' row as drawn, piece) … for all rows of a spec; no two threads at once get to the same cell.
  template <class Work>
  void for_each_row(std::size_t s, const Work& work) {
    const SynapseSpec& spec = specs_[s];
    const ConnectionRows& rows = rows_[s];
    const auto draw = [&](std::size_t first, std::size_t end) {
      ConnectionRows::Row row;
      for (std::size_t r = first; r < end; ++r) {
        rows.draw(r, row);
        work(r, row.partners);
      }
    };
    if (rows.of_targets()) {
      // A target's synapses are of many sources, but of one block.
      const std::size_t first = spec.ranges.first_target, end = first + spec.ranges.targets;
      pool_.for_each(blocks_, [&](std::size_t block) {
        const std::size_t from = std::clamp(block * built_.block_, first, end);
        draw(from - first, std::clamp((block + 1) * built_.block_, first, end) - first);
      });
    } else {
      pool_.for_each((rows.rows() + rows_together - 1) / rows_together, [&](std::size_t piece) {
        draw(piece * rows_together, std::min(rows.rows(), (piece + 1) * rows_together));
      });
    }
  }

  /// Calls work(place in the row, cell, target counted from the first of its block).
  template <class Work>
  void for_each_synapse(std::size_t s, std::size_t r, const std::vector<std::uint32_t>& partners,
                        const Work& work) const {
    const ConnectedRanges& ranges = specs_[s].ranges;
    if (rows_[s].of_targets()) {
      const std::size_t target = ranges.first_target + r, block = target / built_.block_;
      const auto within = static_cast<std::uint16_t>(target % built_.block_);
      const std::size_t first = cell(block, ranges.first_source);
      for (std::size_t i = 0; i < partners.size(); ++i) work(i, first + partners[i], within);
    } else {
      const auto block_size = static_cast<std::uint32_t>(built_.block_);
      const auto first = static_cast<std::uint32_t>(ranges.first_target);
      for (std::size_t i = 0; i < partners.size(); ++i) {
        const std::uint32_t target = first + partners[i], block = target / block_size;
        work(i, cell(block, ranges.first_source + r),
             static_cast<std::uint16_t>(target - block * block_size));
      }
    }
  }

  void count() {
    ends_.resize(blocks_ * built_.sources_);
    std::atomic<std::uint64_t> all{0};
    for (std::size_t s = 0; s < specs_.size(); ++s) {
      for_each_row(s, [&](std::size_t r, const std::vector<std::uint32_t>& partners) {
        all.fetch_add(partners.size(), std::memory_order_relaxed);
        for_each_synapse(s, r, partners,
                         [&](std::size_t, std::size_t cell, std::uint16_t) { ++ends_[cell]; });
      });
    }
    synapses_ = all;
    check_number(static_cast<double>(synapses_));
    // Where each cell begins: when all are placed, where it ends.
    std::uint32_t place = 0;
    for (std::uint32_t& end : ends_) place += std::exchange(end, place);
  }

  void place() {
    if (own_delays_) {
      steps_ = std::make_unique_for_overwrite<std::uint16_t[]>(synapses_);
      is_delay_ = std::vector<std::atomic<bool>>(most_steps + 1);
    }
    for (std::size_t s = 0; s < specs_.size(); ++s) place(s);
  }

  void place(std::size_t s) {
    const SynapseSpec& spec = specs_[s];
    const RandomKey key{seed_, RandomPurpose::synapses, stream(spec)};
    const bool draws_weight = built_.own_weights_ && !spec.weight.constant();
    const bool draws_delay = own_delays_ && !spec.delay.constant();
    const float only_weight = static_cast<float>(spec.weight.constant().value_or(0));
    const std::uint16_t only_delay =
        draws_delay ? std::uint16_t{0} : steps(spec.delay.constant().value_or(0));
    for_each_row(s, [&](std::size_t r, const std::vector<std::uint32_t>& partners) {
      for_each_synapse(s, r, partners, [&](std::size_t i, std::size_t cell, std::uint16_t within) {
        const std::uint32_t place = ends_[cell]++;
        within_[place] = within;
        const std::uint64_t element = std::uint64_t{r} << 32U | i;
        const RandomBlock block = draws_weight || draws_delay ? random_block(key, element) : RandomBlock{};
        if (built_.own_weights_) {
          weights_[place] =
              draws_weight ? static_cast<float>(spec.weight.draw(block, key, element, 0)) : only_weight;
        }
        if (own_delays_) {
          const std::uint16_t delay =
              draws_delay ? steps(spec.delay.draw(block, key, element, 1)) : only_delay;
          if (delay == 0) refuse_delay(spec);
          steps_[place] = delay;
          if (!is_delay_[delay].load(std::memory_order_relaxed))
            is_delay_[delay].store(true, std::memory_order_relaxed);
        }
      });
    });
  }

  /// Sorts each cell by delay and target, and notes where each delay begins.
  void sort() {
    std::vector<std::uint32_t> delays;
    std::vector<std::uint16_t> number_of_delay(own_delays_ ? most_steps + 1 : 0);
    for (std::size_t delay = 1; delay < number_of_delay.size(); ++delay) {
      if (!is_delay_[delay]) continue;
      number_of_delay[delay] = static_cast<std::uint16_t>(delays.size());
      delays.push_back(static_cast<std::uint32_t>(delay));
    }
    if (!own_delays_ && synapses_ > 0) delays.push_back(only_delay_);
    Staged<std::uint32_t> kept(backend_, built_.delays_, delays.size());
    std::ranges::copy(delays, kept.elements().begin());
    kept.upload();

    const std::size_t cells = ends_.size();
    Staged<std::uint32_t> all_starts(backend_, built_.starts_, cells * delays.size() + 1);
    const std::span<std::uint32_t> starts = all_starts.elements();
    const auto within_bits = static_cast<unsigned>(std::bit_width(built_.block_ - 1));
    const auto delay_bits =
        static_cast<unsigned>(std::bit_width(std::max<std::size_t>(1, delays.size()) - 1));
    pool_.for_each((cells + rows_together - 1) / rows_together, [&](std::size_t piece) {
      RowSorter sorter(within_bits + delay_bits);
      std::vector<std::uint64_t> items;
      const std::size_t end_of_piece = std::min(cells, (piece + 1) * rows_together);
      for (std::size_t c = piece * rows_together; c < end_of_piece; ++c) {
        const std::uint32_t first = c == 0 ? 0 : ends_[c - 1], end = ends_[c];
        items.clear();
        for (std::uint32_t i = first; i < end; ++i) {
          const std::uint32_t delay = own_delays_ ? number_of_delay[steps_[i]] : 0;
          items.push_back(
              RowSorter::item(delay << within_bits | within_[i], weights_.empty() ? 0 : weights_[i]));
        }
        sorter.sort(items);
        std::size_t d = 0;
        for (std::uint32_t i = first; i < end; ++i) {
          const std::uint32_t key = RowSorter::key(items[i - first]);
          for (; d <= key >> within_bits; ++d) starts[c * delays.size() + d] = i;
          within_[i] = static_cast<std::uint16_t>(key & ((1U << within_bits) - 1));
          if (!weights_.empty()) weights_[i] = RowSorter::weight(items[i - first]);
        }
        for (; d < delays.size(); ++d) starts[c * delays.size() + d] = end;
      }
    });
    starts.back() = static_cast<std::uint32_t>(synapses_);
    steps_.reset();
    all_starts.upload();
  }

  Backend& backend_;
  const std::vector<SynapseSpec>& specs_;
  const double dt_;
  const std::uint64_t seed_;
  ThreadPool pool_;
  Synapses built_;
  std::size_t blocks_ = 0, synapses_ = 0;
  bool own_delays_ = false;
  std::uint16_t only_delay_ = 0;
  std::vector<ConnectionRows> rows_;
  std::vector<std::uint32_t> ends_;  ///< [blocks · sources]
  std::span<std::uint16_t> within_;
  std::span<float> weights_;                 ///< none where they are the sources'
  std::unique_ptr<std::uint16_t[]> steps_;   ///< delays, where there are several
  std::vector<std::atomic<bool>> is_delay_;  ///< [most_steps + 1] whether a synapse has it
};

SynapseTable Synapses::table() const {
  return {.sources = sources_,
          .targets = targets_,
          .block = block_,
          .delays = delays_.view(),
          .starts = starts_.view(),
          .within = within_.view(),
          .own_weights = own_weights_,
          .weights = weights_.view()};
}

std::size_t Synapses::bytes() const {
  return delays_.size() * sizeof(std::uint32_t) + starts_.size() * sizeof(std::uint32_t) +
         within_.size() * sizeof(std::uint16_t) + weights_.size() * sizeof(float);
}

Synapses build_synapses(Backend& backend, const std::vector<SynapseSpec>& specs, std::size_t sources,
                        std::size_t targets, double dt, std::uint64_t seed, std::size_t block) {
  return SynapseBuilder(backend, specs, sources, targets, dt, seed, block).build();
}

}  // namespace orthospike
