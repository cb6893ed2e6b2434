#include "sim/synapses/connection_rule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <optional>

#include "kernels/error.hpp"
#include "kernels/random.hpp"
#include "kernels/shapes.hpp"

namespace orthospike {

namespace {

using Kind = ConnectionRule::Kind;

const char* word(Kind kind) {
  return std::ranges::find(connection_rules(), kind, &Word<Kind>::value)->word;
}

/// The words of a row, one after another.
class Words {
 public:
  Words(const RandomKey& key, std::size_t row) : key_(key), element_(std::uint64_t{row} << 32U) {}

  std::uint32_t next() {
    if (used_ == 4) {
      block_ = random_block(key_, element_++);
      used_ = 0;
    }
    return block_.v[used_++];
  }
  std::uint64_t next_two() {
    const std::uint64_t high = next();
    return high << 32U | next();
  }

 private:
  const RandomKey key_;
  std::uint64_t element_;
  RandomBlock block_{};
  std::size_t used_ = 4;
};

/// Each of [0, bound) with the same probability, as near as 2⁻⁶⁴.
std::uint64_t bounded_64(std::uint64_t word, std::uint64_t bound) {
  // The upper half of the product, from those of its factors.
  const std::uint64_t low = 0xffffffffU;
  const std::uint64_t middle = (word >> 32U) * (bound & low) + (((word & low) * (bound & low)) >> 32U);
  const std::uint64_t other = (word & low) * (bound >> 32U) + (middle & low);
  return (word >> 32U) * (bound >> 32U) + (middle >> 32U) + (other >> 32U);
}

/// `number` of `count`, each subset with the same probability (Floyd, see Bentley, CACM 30, 1987).
void draw_subset(std::uint32_t number, std::uint32_t count, Words& words, ConnectionRows::Row& row) {
  row.taken.resize(std::max<std::size_t>(row.taken.size(), (count + 63U) / 64U));
  const auto bit = [](std::uint32_t i) { return std::uint64_t{1} << i % 64U; };
  for (std::uint32_t last = count - number; last < count; ++last) {
    const std::uint32_t any = bounded(words.next(), last + 1);
    const std::uint32_t chosen = (row.taken[any / 64U] & bit(any)) != 0 ? last : any;
    row.taken[chosen / 64U] |= bit(chosen);
    row.partners.push_back(chosen);
  }
  for (const std::uint32_t i : row.partners) row.taken[i / 64U] = 0;
}

/// Each of `count` with a probability, by how many are passed over before the next.
void draw_each(double probability, std::uint32_t count, Words& words, std::vector<std::uint32_t>& partners) {
  if (probability == 0) return;
  const double log_not = std::log1p(-probability);
  for (std::uint64_t next = 0;; ++next) {
    const double uniform = static_cast<double>((words.next_two() >> 11U) + 1) * 0x1p-53;  // in (0, 1]
    const double passed = std::log(uniform) / log_not;
    if (passed >= static_cast<double>(count - next)) return;
    next += static_cast<std::uint64_t>(passed);
    partners.push_back(static_cast<std::uint32_t>(next));
  }
}

}  // namespace

std::size_t ConnectedRanges::shared() const {
  if (!same_group) return 0;
  const std::size_t first = std::max(first_source, first_target);
  const std::size_t end = std::min(first_source + sources, first_target + targets);
  return end > first ? end - first : 0;
}

void ConnectionRule::check(const ConnectedRanges& ranges, const std::string& name) const {
  const auto refuse = [&](const std::string& why) {
    throw ConfigError(fmt::format("{}: {} {}", name, word(kind), why));
  };
  const std::size_t least = autapses || ranges.shared() == 0 ? 0 : 1;  // partners that a row lacks
  const auto check_degree = [&](std::size_t partners, const char* whose) {
    if (number == 0) return;
    const std::size_t there = partners - std::min(partners, least);
    if (there == 0 || (!multapses && number > there)) {
      const char* const without = multapses   ? " without autapses"
                                  : least > 0 ? " without multapses and autapses"
                                              : " without multapses";
      refuse(fmt::format("of {} cannot be drawn from {} {}{}", number, partners, whose,
                         multapses && least == 0 ? "" : without));
    }
    if (number > std::numeric_limits<std::uint32_t>::max())
      refuse(fmt::format("of {} is more than {}", number, std::numeric_limits<std::uint32_t>::max()));
  };
  switch (kind) {
    case Kind::all_to_all:
      return;
    case Kind::one_to_one:
      if (ranges.sources != ranges.targets) {
        refuse(fmt::format("needs as many sources as targets; there are {} and {}", ranges.sources,
                           ranges.targets));
      }
      return;
    case Kind::pairwise_bernoulli:
      if (!(probability >= 0 && probability <= 1))
        refuse(fmt::format("needs a probability from 0 to 1, not {}", probability));
      return;
    case Kind::fixed_indegree:
      if (ranges.targets > 0) check_degree(ranges.sources, "sources");
      return;
    case Kind::fixed_outdegree:
      if (ranges.sources > 0) check_degree(ranges.targets, "targets");
      return;
    case Kind::fixed_total_number:
      if (!multapses) refuse("cannot be without multapses; pairwise_bernoulli makes none");
      if (number > 0 && (ranges.sources * ranges.targets == (autapses ? 0 : ranges.shared())))
        refuse(fmt::format("of {} has no pair of neurons to connect", number));
      return;
  }
}

double ConnectionRule::synapses(const ConnectedRanges& ranges) const {
  const auto sources = static_cast<double>(ranges.sources), targets = static_cast<double>(ranges.targets);
  const double pairs = sources * targets - (autapses ? 0 : static_cast<double>(ranges.shared()));
  switch (kind) {
    case Kind::all_to_all:
      return pairs;
    case Kind::one_to_one:
      return autapses || !ranges.same_group || ranges.first_source != ranges.first_target ? sources : 0;
    case Kind::pairwise_bernoulli:
      return probability * pairs;
    case Kind::fixed_indegree:
      return targets * static_cast<double>(number);
    case Kind::fixed_outdegree:
      return sources * static_cast<double>(number);
    case Kind::fixed_total_number:
      return static_cast<double>(number);
  }
  return 0;
}

const std::vector<Word<ConnectionRule::Kind>>& connection_rules() {
  static const std::vector<Word<Kind>> words{
      {"all_to_all", Kind::all_to_all, "each source to each target"},
      {"one_to_one", Kind::one_to_one, "each source to the target of its number"},
      {"pairwise_bernoulli", Kind::pairwise_bernoulli, "each source to each target with a probability"},
      {"fixed_indegree", Kind::fixed_indegree, "to each target from so many sources at random"},
      {"fixed_outdegree", Kind::fixed_outdegree, "from each source to so many targets at random"},
      {"fixed_total_number", Kind::fixed_total_number,
       "so many in all, each of a source and a target at random"},
  };
  return words;
}

ConnectionRows::ConnectionRows(const ConnectionRule& rule, const ConnectedRanges& ranges,
                               const RandomKey& key, ThreadPool& pool)
    : rule_(rule), ranges_(ranges), key_(key) {
  constexpr std::size_t most = std::numeric_limits<std::uint32_t>::max();
  require(key.stream % 256 == 0, "connection rows", "the stream is not a multiple of 256");
  require(ranges.sources <= most && ranges.targets <= most, "connection rows",
          "numbers of neurons do not fit 32 bits");
  if (rule.kind == Kind::fixed_total_number) divide_among_sources(pool);
}

void ConnectionRows::divide_among_sources(ThreadPool& pool) {
  of_source_.resize(ranges_.sources);
  if (rule_.number == 0) return;
  // A synapse is of one of all pairs. Sources that have an autapse to do without come first; their pairs are one fewer.
  const std::uint64_t lacking = rule_.autapses ? 0 : ranges_.shared();
  const std::uint64_t targets = ranges_.targets, of_lacking = lacking * (targets - 1);
  const std::uint64_t pairs = of_lacking + (ranges_.sources - lacking) * targets;
  const std::size_t first_lacking =
      std::max(ranges_.first_source, ranges_.first_target) - ranges_.first_source;
  const auto source = [&](std::uint64_t pair) -> std::size_t {
    if (pair < of_lacking) return first_lacking + pair / (targets - 1);
    const std::size_t other = (pair - of_lacking) / targets;
    return other < first_lacking ? other : other + lacking;
  };
  const RandomKey key{key_.seed, key_.purpose, key_.stream + 1};
  const std::size_t piece = std::max<std::size_t>(ranges_.sources, 1U << 16U);
  pool.for_each((rule_.number + piece - 1) / piece, [&](std::size_t number) {
    std::vector<std::uint32_t> counts(ranges_.sources);
    Words words(key, number);
    const std::size_t end = std::min<std::size_t>(rule_.number, (number + 1) * piece);
    for (std::size_t k = number * piece; k < end; ++k) ++counts[source(bounded_64(words.next_two(), pairs))];
    for (std::size_t i = 0; i < counts.size(); ++i)
      std::atomic_ref(of_source_[i]).fetch_add(counts[i], std::memory_order_relaxed);
  });
}

void ConnectionRows::draw(std::size_t r, Row& row) const {
  row.partners.clear();
  const bool by_target = of_targets();
  const std::size_t partners = by_target ? ranges_.sources : ranges_.targets;
  // The neuron itself, among its partners; those from there on are one further when it is left out.
  const std::size_t own = (by_target ? ranges_.first_target - ranges_.first_source
                                     : ranges_.first_source - ranges_.first_target) +
                          r;
  const bool lacks = !rule_.autapses && ranges_.same_group && own < partners;
  const auto count = static_cast<std::uint32_t>(partners - (lacks ? 1 : 0));
  Words words(key_, r);
  const auto draw_any = [&](std::uint64_t number) {
    for (std::uint64_t i = 0; i < number; ++i) row.partners.push_back(bounded(words.next(), count));
  };
  switch (rule_.kind) {
    case Kind::all_to_all:
      for (std::uint32_t i = 0; i < count; ++i) row.partners.push_back(i);
      break;
    case Kind::one_to_one:
      if (!lacks || own != r) row.partners.push_back(static_cast<std::uint32_t>(r));
      return;
    case Kind::pairwise_bernoulli:
      draw_each(rule_.probability, count, words, row.partners);
      break;
    case Kind::fixed_indegree:
    case Kind::fixed_outdegree:
      if (rule_.multapses) {
        draw_any(rule_.number);
      } else {
        draw_subset(static_cast<std::uint32_t>(rule_.number), count, words, row);
      }
      break;
    case Kind::fixed_total_number:
      draw_any(of_source_[r]);
      break;
  }
  if (!lacks) return;
  for (std::uint32_t& i : row.partners) i += i >= own ? 1 : 0;
}

}  // namespace orthospike
