#include "sim/synapses/connection_rule.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "kernels/error.hpp"
#include "tests/catch.hpp"

namespace orthospike::testing {
namespace {

using Kind = ConnectionRule::Kind;
using Pairs =
    std::vector<std::pair<std::size_t, std::size_t>>;  ///< of source and target, within their groups

constexpr Kind drawn[] = {Kind::pairwise_bernoulli, Kind::fixed_indegree, Kind::fixed_outdegree,
                          Kind::fixed_total_number};
constexpr ConnectedRanges apart{.first_source = 3, .sources = 20, .first_target = 1, .targets = 30};
/// Sources 2 … 21, targets 7 … 36 of the same neurons: 15 are both.
constexpr ConnectedRanges together{
    .first_source = 2, .sources = 20, .first_target = 7, .targets = 30, .same_group = true};

/// Sources 2 … 21, targets 5 … 14: of the sources that are targets, too, there are others on both sides.
constexpr ConnectedRanges inside{
    .first_source = 2, .sources = 20, .first_target = 5, .targets = 10, .same_group = true};

Pairs connect(const ConnectionRule& rule, const ConnectedRanges& ranges, std::uint64_t seed = 1,
              int threads = 1) {
  rule.check(ranges, "projection");
  ThreadPool pool(threads);
  const ConnectionRows rows(rule, ranges, {seed, RandomPurpose::connectivity, 2 << 8}, pool);
  ConnectionRows::Row row;
  Pairs pairs;
  for (std::size_t r = 0; r < rows.rows(); ++r) {
    rows.draw(r, row);
    for (const std::uint32_t partner : row.partners) {
      pairs.emplace_back(ranges.first_source + (rows.of_targets() ? partner : r),
                         ranges.first_target + (rows.of_targets() ? r : partner));
    }
  }
  return pairs;
}

/// How many synapses each neuron of a range has.
std::vector<std::size_t> degrees(const Pairs& pairs, std::size_t first, std::size_t count, bool of_targets) {
  std::vector<std::size_t> numbers(count);
  for (const auto& [source, target] : pairs) ++numbers.at((of_targets ? target : source) - first);
  return numbers;
}

bool has_multapses(const Pairs& pairs) {
  return std::set(pairs.begin(), pairs.end()).size() < pairs.size();
}

bool has_autapses(const Pairs& pairs) {
  return std::ranges::any_of(pairs, [](const auto& pair) { return pair.first == pair.second; });
}

ConnectionRule rule(Kind kind, bool autapses = true, bool multapses = true) {
  return {.kind = kind,
          .probability = 0.3,
          .number = kind == Kind::fixed_total_number ? 171U : 9U,
          .autapses = autapses,
          .multapses = multapses || kind == Kind::fixed_total_number};
}

std::string refusal(const ConnectionRule& rule, const ConnectedRanges& ranges) {
  try {
    rule.check(ranges, "projection");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("all_to_all and one_to_one have the pairs of their names", "[connection_rule]") {
  for (const bool autapses : {true, false}) {
    for (const ConnectedRanges& ranges : {apart, together}) {
      const Pairs all = connect(rule(Kind::all_to_all, autapses), ranges);
      CHECK_FALSE(has_multapses(all));
      const bool lacks = !autapses && ranges.same_group;
      CHECK(has_autapses(all) == (ranges.same_group ? autapses : true));
      CHECK(all.size() == (lacks ? 585 : 600));
    }
    ConnectedRanges square{
        .first_source = 4, .sources = 5, .first_target = 2, .targets = 5, .same_group = true};
    CHECK(connect(rule(Kind::one_to_one, autapses), square) == Pairs{{4, 2}, {5, 3}, {6, 4}, {7, 5}, {8, 6}});
    square.first_target = 4;
    CHECK(connect(rule(Kind::one_to_one, autapses), square).size() == (autapses ? 5 : 0));
    square.same_group = false;
    CHECK(connect(rule(Kind::one_to_one, autapses), square).size() == 5);
  }
}

TEST_CASE("degrees and totals are exact", "[connection_rule]") {
  for (const bool autapses : {true, false}) {
    for (const ConnectedRanges& ranges : {apart, together}) {
      for (const bool multapses : {true, false}) {
        const Pairs in = connect(rule(Kind::fixed_indegree, autapses, multapses), ranges);
        CHECK(degrees(in, ranges.first_target, 30, true) == std::vector<std::size_t>(30, 9));
        const Pairs out = connect(rule(Kind::fixed_outdegree, autapses, multapses), ranges);
        CHECK(degrees(out, ranges.first_source, 20, false) == std::vector<std::size_t>(20, 9));
      }
      const Pairs total = connect(rule(Kind::fixed_total_number, autapses), ranges);
      CHECK(total.size() == 171);
      CHECK(degrees(total, ranges.first_source, 20, false) != std::vector<std::size_t>(20, 9));
    }
  }
}

TEST_CASE("rules keep to their neurons, and to what is allowed", "[connection_rule]") {
  for (const Kind kind : drawn) {
    INFO(static_cast<int>(kind));
    for (const bool autapses : {true, false}) {
      for (const bool multapses : {true, false}) {
        bool several = false, own = false;
        for (std::uint64_t seed = 0; seed < 50; ++seed) {
          const Pairs pairs = connect(rule(kind, autapses, multapses), together, seed);
          for (const auto& [source, target] : pairs) {
            CHECK((source >= 2 && source < 22));
            CHECK((target >= 7 && target < 37));
          }
          several = several || has_multapses(pairs);
          own = own || has_autapses(pairs);
        }
        CHECK(own == autapses);
        CHECK(several ==
              (kind == Kind::fixed_total_number || (kind != Kind::pairwise_bernoulli && multapses)));
      }
    }
    // Neurons of the same number are others where the groups are.
    bool same_number = false;
    for (std::uint64_t seed = 0; seed < 50; ++seed)
      same_number = same_number || has_autapses(connect(rule(kind, false), apart, seed));
    CHECK(same_number);
  }
}

TEST_CASE("pairs that are allowed are equally likely", "[connection_rule]") {
  constexpr std::size_t seeds = 2000;
  for (const Kind kind : drawn) {
    for (const bool autapses : {true, false}) {
      for (const bool multapses : {true, false}) {
        for (const ConnectedRanges& ranges : {apart, together}) {
          const ConnectionRule tested = rule(kind, autapses, multapses);
          std::map<std::pair<std::size_t, std::size_t>, double> counts;
          double sum = 0;
          for (std::uint64_t seed = 0; seed < seeds; ++seed) {
            for (const auto& pair : connect(tested, ranges, seed)) {
              ++counts[pair];
              ++sum;
            }
          }
          INFO(static_cast<int>(kind)
               << ", autapses " << autapses << ", multapses " << multapses << ", same " << ranges.same_group);
          const bool lacks = !autapses && ranges.same_group;
          REQUIRE(counts.size() == (lacks ? 585 : 600));
          // Rows of exact degree are equally long, whether or not their neuron lacks itself.
          const auto mean = [&](const std::pair<std::size_t, std::size_t>& pair) {
            const bool target_lacks = lacks && pair.second < 22, source_lacks = lacks && pair.first >= 7;
            if (kind == Kind::fixed_indegree) return seeds * 9.0 / (target_lacks ? 19 : 20);
            if (kind == Kind::fixed_outdegree) return seeds * 9.0 / (source_lacks ? 29 : 30);
            return seeds * (kind == Kind::pairwise_bernoulli ? 0.3 : 171.0 / (lacks ? 585 : 600));
          };
          double chi_square = 0;
          for (const auto& [pair, count] : counts)
            chi_square += (count - mean(pair)) * (count - mean(pair)) / mean(pair);
          // Without replacement counts vary less than those of Poisson numbers do.
          const double spread = kind == Kind::pairwise_bernoulli              ? 0.7
                                : kind == Kind::fixed_indegree && !multapses  ? 1 - 9.0 / 20
                                : kind == Kind::fixed_outdegree && !multapses ? 1 - 9.0 / 30
                                                                              : 1;
          CHECK(chi_square / static_cast<double>(counts.size()) == Approx(spread).margin(0.3));
          CHECK(sum == Approx(seeds * tested.synapses(ranges)).epsilon(0.005));
        }
      }
    }
  }
}

TEST_CASE("a fixed total number is divided among sources as by throwing each", "[connection_rule]") {
  // Variance of a source's number: that of a binomial one. The larger total is drawn in two pieces.
  const auto variance = [](std::uint64_t number, std::size_t seeds) {
    const ConnectionRule total{.kind = Kind::fixed_total_number, .number = number};
    double squares = 0;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      for (const std::size_t degree : degrees(connect(total, apart, seed), 3, 20, false)) {
        const double difference = static_cast<double>(degree) - static_cast<double>(number) / 20;
        squares += difference * difference;
      }
    }
    return squares / static_cast<double>(seeds * 20);
  };
  CHECK(variance(1000, 500) == Approx(50 * 0.95).epsilon(0.1));
  CHECK(variance(2 << 16, 20) == Approx((2 << 16) * 0.05 * 0.95).epsilon(0.3));
}

TEST_CASE("a fixed total number is among all pairs but autapses, wherever these lie", "[connection_rule]") {
  std::map<std::pair<std::size_t, std::size_t>, int> counts;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    for (const auto& pair :
         connect({.kind = Kind::fixed_total_number, .number = 95, .autapses = false}, inside, seed))
      ++counts[pair];
  }
  REQUIRE(counts.size() == 190);
  for (const auto& [pair, count] : counts) CHECK(std::abs(count - 1000) < 160);  // five standard deviations
}

TEST_CASE("which source a synapse has says nothing of its target", "[connection_rule]") {
  std::set<std::size_t> of_first_source;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const auto [source, target] = connect({.kind = Kind::fixed_total_number, .number = 1}, apart, seed).at(0);
    if (source == apart.first_source) of_first_source.insert(target);
  }
  CHECK(of_first_source.size() > 20);  // of 30, in about 100 draws
}

TEST_CASE("subsets of all sizes are drawn, every one as often", "[connection_rule]") {
  const ConnectedRanges small{.sources = 1, .targets = 4};
  std::map<std::set<std::size_t>, int> subsets;
  for (std::uint64_t seed = 0; seed < 6000; ++seed) {
    std::set<std::size_t> targets;
    for (const auto& [source, target] :
         connect({.kind = Kind::fixed_outdegree, .number = 2, .multapses = false}, small, seed))
      targets.insert(target);
    ++subsets[targets];
  }
  REQUIRE(subsets.size() == 6);
  for (const auto& [subset, count] : subsets)
    CHECK(std::abs(count - 1000) < 145);  // five standard deviations

  const ConnectedRanges large{.sources = 3, .targets = 1000};
  for (const std::size_t number : {0U, 1U, 63U, 500U, 999U, 1000U}) {
    const Pairs pairs = connect({.kind = Kind::fixed_outdegree, .number = number, .multapses = false}, large);
    CHECK(pairs.size() == 3 * number);
    CHECK_FALSE(has_multapses(pairs));
  }
}

TEST_CASE("pairs of any probability are drawn", "[connection_rule]") {
  const ConnectedRanges large{.sources = 1000, .targets = 1000};
  const auto count = [&](double probability) {
    return static_cast<double>(
        connect({.kind = Kind::pairwise_bernoulli, .probability = probability}, large).size());
  };
  CHECK(count(0) == 0);
  CHECK(count(1) == 1e6);
  for (const double p : {1e-4, 0.01, 0.5, 0.99}) {
    INFO(p);
    CHECK(std::abs(count(p) - 1e6 * p) < 5 * std::sqrt(1e6 * p * (1 - p)));
  }
  CHECK(count(1e-300) == 0);
}

TEST_CASE("rows are the same in any order, for any threads, and others for other seeds",
          "[connection_rule][threads]") {
  ThreadPool pool(1);
  for (const Kind kind : drawn) {
    const ConnectionRows rows(rule(kind), together, {7, RandomPurpose::connectivity, 0}, pool);
    ConnectionRows::Row forward, backward;
    std::vector<std::vector<std::uint32_t>> drawn_rows;
    for (std::size_t r = 0; r < rows.rows(); ++r) {
      rows.draw(r, forward);
      drawn_rows.push_back(forward.partners);
    }
    for (std::size_t r = rows.rows(); r-- > 0;) {
      rows.draw(r, backward);
      CHECK(backward.partners == drawn_rows[r]);
    }
    CHECK(connect(rule(kind), together, 1) != connect(rule(kind), together, 2));
  }
  const ConnectionRule many{.kind = Kind::fixed_total_number, .number = 300000};
  CHECK(connect(many, together, 1, 3) == connect(many, together, 1, 1));
}

TEST_CASE("rules that cannot be followed are refused", "[connection_rule]") {
  const auto refused = [](const ConnectionRule& rule, const ConnectedRanges& ranges) {
    return refusal(rule, ranges);
  };
  CHECK(refused({.kind = Kind::one_to_one}, apart) ==
        "projection: one_to_one needs as many sources as targets; there are 20 and 30");
  for (const double p : {-0.1, 1.1, std::nan("")}) {
    CHECK(refused({.kind = Kind::pairwise_bernoulli, .probability = p}, apart)
              .starts_with("projection: pairwise_bernoulli needs a probability from 0 to 1, not "));
  }
  CHECK(refused({.kind = Kind::fixed_total_number, .number = 5, .multapses = false}, apart) ==
        "projection: fixed_total_number cannot be without multapses; pairwise_bernoulli makes none");
  CHECK(refused({.kind = Kind::fixed_indegree, .number = 21, .multapses = false}, apart) ==
        "projection: fixed_indegree of 21 cannot be drawn from 20 sources without multapses");
  CHECK(refused({.kind = Kind::fixed_outdegree, .number = 31, .multapses = false}, apart) ==
        "projection: fixed_outdegree of 31 cannot be drawn from 30 targets without multapses");
  CHECK(refused({.kind = Kind::fixed_indegree, .number = 20, .autapses = false, .multapses = false},
                together) ==
        "projection: fixed_indegree of 20 cannot be drawn from 20 sources without multapses and autapses");
  CHECK(refused({.kind = Kind::fixed_indegree, .number = 20, .autapses = false, .multapses = false}, apart) ==
        "");
  CHECK(refused({.kind = Kind::fixed_indegree, .number = 20, .multapses = false}, together) == "");
  CHECK(refused({.kind = Kind::fixed_indegree, .number = 50}, apart) == "");
  // With one neuron that would be its own only partner.
  const ConnectedRanges one{.sources = 1, .targets = 1, .same_group = true}, none{.sources = 0, .targets = 4};
  for (const Kind kind : {Kind::fixed_indegree, Kind::fixed_outdegree, Kind::fixed_total_number}) {
    CHECK(refused({.kind = kind, .number = 1}, one) == "");
    CHECK(refused({.kind = kind, .number = 1, .autapses = false}, one) != "");
    CHECK(refused({.kind = kind, .number = 0, .autapses = false}, one) == "");
  }
  CHECK(refused({.kind = Kind::fixed_indegree, .number = 1}, none) != "");
  CHECK(refused({.kind = Kind::fixed_outdegree, .number = 1}, none) == "");
  CHECK(refused({.kind = Kind::fixed_total_number, .number = 1}, none) ==
        "projection: fixed_total_number of 1 has no pair of neurons to connect");
  CHECK(refused({.kind = Kind::fixed_indegree, .number = 1ULL << 32U}, apart) ==
        "projection: fixed_indegree of 4294967296 is more than 4294967295");
}

TEST_CASE("rules have words", "[connection_rule]") {
  std::vector<std::string> words;
  for (const auto& word : connection_rules()) words.emplace_back(word.word);
  CHECK(words == std::vector<std::string>{"all_to_all", "one_to_one", "pairwise_bernoulli", "fixed_indegree",
                                          "fixed_outdegree", "fixed_total_number"});
}

}  // namespace orthospike::testing
