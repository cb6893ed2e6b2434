#include "sim/synapses/synapse_builder.hpp"

#include <algorithm>
#include <cmath>
#include <compare>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

using Kind = ConnectionRule::Kind;

constexpr std::size_t sources = 40, targets = 700;
constexpr std::uint64_t seed = 5;
constexpr double dt = 0.1;

struct Synapse {
  std::size_t block = 0, source = 0;
  std::uint32_t delay = 0;
  std::size_t target = 0;
  float weight = 0;

  auto operator<=>(const Synapse&) const = default;
  bool before(const Synapse& other) const {
    return std::tie(block, source, delay, target) <
           std::tie(other.block, other.source, other.delay, other.target);
  }
};

/// Whose memory the host cannot read, as that of a device.
class DistantBackend final : public Backend {
 public:
  std::string name() const override { return "distant"; }
  std::string device() const override { return "none"; }
  void synchronise() override {}

 private:
  Memory allocate_bytes(std::size_t bytes) override {
    return {std::calloc(bytes + 1, 1), [](void* block) { std::free(block); }};
  }
  void do_upload(const void* from, void* to, std::size_t bytes) override { do_copy(from, to, bytes); }
  void do_download(const void* from, void* to, std::size_t bytes) override { do_copy(from, to, bytes); }
  void do_copy(const void* from, void* to, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void do_clear(void* to, std::size_t bytes) override { std::memset(to, 0, bytes); }
};

/// A table's arrays.
struct Contents {
  std::vector<std::uint32_t> delays, starts;
  std::vector<std::uint16_t> within;
  std::vector<float> weights;

  bool operator==(const Contents&) const = default;
};

Contents contents(Backend& backend, const SynapseTable& table) {
  return {backend.download(table.delays), backend.download(table.starts), backend.download(table.within),
          backend.download(table.weights)};
}

/// The synapses of a table, in its order.
std::vector<Synapse> listed(Backend& backend, const Synapses& built) {
  const SynapseTable table = built.table();
  table.check("test");
  const auto [delays, starts, within, weights] = contents(backend, table);
  std::vector<Synapse> synapses;
  bool follow_each_other = true;
  for (std::size_t cell = 0; cell < table.blocks() * table.sources; ++cell) {
    for (std::size_t d = 0; d < delays.size(); ++d) {
      const std::size_t run = cell * delays.size() + d;
      follow_each_other = follow_each_other && starts[run] == synapses.size();
      for (std::size_t i = starts[run]; i < starts[run + 1]; ++i) {
        const std::size_t block = cell / table.sources, source = cell % table.sources;
        synapses.push_back({block, source, delays[d], block * table.block + within[i],
                            weights[table.own_weights ? i : source]});
      }
    }
  }
  REQUIRE(follow_each_other);
  REQUIRE(starts.back() == synapses.size());
  REQUIRE(synapses.size() == table.synapses());
  return synapses;
}

/// The same worked out plainly: rows as drawn, each synapse's values from its key, all sorted.
std::vector<Synapse> expected(const std::vector<SynapseSpec>& specs, std::size_t block) {
  std::vector<Synapse> synapses;
  ThreadPool pool(1);
  for (const SynapseSpec& spec : specs) {
    const ConnectionRows rows(spec.rule, spec.ranges, {seed, RandomPurpose::connectivity, spec.number << 8},
                              pool);
    const RandomKey key{seed, RandomPurpose::synapses, spec.number << 8};
    ConnectionRows::Row row;
    for (std::uint64_t r = 0; r < rows.rows(); ++r) {
      rows.draw(r, row);
      for (std::uint64_t i = 0; i < row.partners.size(); ++i) {
        const std::uint64_t partner = row.partners[i], element = r << 32 | i;
        const std::size_t source = spec.ranges.first_source + (rows.of_targets() ? partner : r),
                          target = spec.ranges.first_target + (rows.of_targets() ? r : partner);
        synapses.push_back({target / block, source,
                            static_cast<std::uint32_t>(std::lround(spec.delay.draw(key, element, 1) / dt)),
                            target, static_cast<float>(spec.weight.draw(key, element, 0))});
      }
    }
  }
  std::ranges::stable_sort(synapses, [](const Synapse& a, const Synapse& b) { return a.before(b); });
  return synapses;
}

ConnectionRule rule(Kind kind) {
  return {.kind = kind, .probability = 0.4, .number = kind == Kind::fixed_total_number ? 9000U : 25U};
}

SynapseSpec spec(Kind kind, const std::string& weight, const std::string& delay, std::uint32_t number = 1,
                 const ConnectedRanges& ranges = {.sources = sources, .targets = targets}) {
  return {.name = "projection",
          .ranges = ranges,
          .rule = rule(kind),
          .weight = Distribution::parse("weight", weight),
          .delay = Distribution::parse("delay", delay),
          .number = number};
}

/// Of several rules, ranges and distributions; many pairs have several synapses.
std::vector<SynapseSpec> several() {
  const char* const weight = "normal(1, 0.5) in [0, inf]";
  return {spec(Kind::fixed_total_number, weight, "normal(1.5, 0.75) in [0.1, inf]", 1),
          spec(Kind::fixed_indegree, "-2", "uniform(0.1, 40)", 2,
               {.first_source = 10, .sources = 20, .first_target = 250, .targets = 450}),
          spec(Kind::pairwise_bernoulli, weight, "1.5", 3,
               {.first_source = 30, .sources = 10, .first_target = 1, .targets = 600}),
          spec(Kind::one_to_one, "uniform(-1, 1)", "0.3", 4,
               {.first_source = 5, .sources = 30, .first_target = 299, .targets = 30}),
          spec(Kind::fixed_outdegree, "lognormal(0, 1) clipped to [0.5, 2]", "uniform(1, 2)", 5)};
}

std::string refusal(const std::vector<SynapseSpec>& specs, std::size_t from = sources,
                    std::size_t to = targets) {
  const auto backend = make_backend("reference", 1);
  try {
    build_synapses(*backend, specs, from, to, dt, seed);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a table has the synapses of its rules, each with its values, in order", "[synapse_builder]") {
  const Kind kinds[] = {Kind::all_to_all, Kind::pairwise_bernoulli, Kind::fixed_indegree,
                        Kind::fixed_outdegree, Kind::fixed_total_number};
  on_each_backend([&](Backend& backend) {
    for (const std::size_t block : {1U, 90U, 300U, 512U, 16384U}) {
      INFO("block " << block);
      std::vector<std::vector<SynapseSpec>> all{several()};
      for (const Kind kind : kinds) {
        all.push_back({spec(kind, "normal(3, 1)", "uniform(0.1, 3)")});
        all.push_back({spec(kind, "0.25", "1.5")});
      }
      for (const auto& specs : all) {
        const std::vector<Synapse> wanted = expected(specs, std::min(block, targets));
        const std::vector<Synapse> found =
            listed(backend, build_synapses(backend, specs, sources, targets, dt, seed, block));
        REQUIRE(found.size() > 900);
        CHECK(std::ranges::is_sorted(found, [](const Synapse& a, const Synapse& b) { return a.before(b); }));
        CHECK((found == wanted));
      }
    }
  });
}

TEST_CASE("a table is the same for any number of threads and in any memory", "[synapse_builder][threads]") {
  const auto table = [&](Backend& backend) {
    return contents(backend, build_synapses(backend, several(), sources, targets, dt, seed, 100).table());
  };
  const auto reference = make_backend("reference", 1);
  const Contents wanted = table(*reference);
  on_each_backend([&](Backend& backend) { CHECK((table(backend) == wanted)); });
  for (const int threads : {1, 3}) CHECK((table(*backend_of("cpu", threads)) == wanted));
  DistantBackend distant;
  CHECK((table(distant) == wanted));
  const auto plain = [](Backend& backend) {
    const std::vector<SynapseSpec> specs{spec(Kind::fixed_indegree, "0.5", "1.5")};
    return contents(backend, build_synapses(backend, specs, sources, targets, dt, seed, 100).table());
  };
  CHECK((plain(distant) == plain(*reference)));
  const auto other =
      contents(*reference, build_synapses(*reference, several(), sources, targets, dt, 6, 100).table());
  CHECK_FALSE((other == wanted));
}

TEST_CASE("a table of several specs is the union of theirs", "[synapse_builder]") {
  const auto backend = make_backend("reference", 1);
  std::vector<Synapse> single;
  for (const SynapseSpec& one : several()) {
    const std::vector<Synapse> its =
        listed(*backend, build_synapses(*backend, {one}, sources, targets, dt, seed, 300));
    single.insert(single.end(), its.begin(), its.end());
  }
  std::vector<Synapse> all =
      listed(*backend, build_synapses(*backend, several(), sources, targets, dt, seed, 300));
  std::ranges::sort(single);
  std::ranges::sort(all);
  CHECK((all == single));
}

TEST_CASE("weights are one a source, and delays one for all, where they can be", "[synapse_builder]") {
  const auto backend = make_backend("reference", 1);
  const ConnectedRanges first{.sources = 15, .targets = targets},
      others{.first_source = 15, .sources = 20, .first_target = 100, .targets = 300};
  const auto built = [&](const std::vector<SynapseSpec>& specs) {
    return build_synapses(*backend, specs, sources, targets, dt, seed, 300);
  };
  const Kind kind = Kind::fixed_outdegree;
  {
    const Synapses plain = built({spec(kind, "0.5", "1.5", 1, first), spec(kind, "-2", "1.5", 2, others),
                                  spec(kind, "0.5", "1.52", 3, first)});
    const SynapseTable table = plain.table();
    CHECK_FALSE(table.own_weights);
    std::vector<float> weights(sources, 0.0F);
    std::fill_n(weights.begin(), 15, 0.5F);
    std::fill_n(weights.begin() + 15, 20, -2.0F);
    CHECK(backend->download(table.weights) == weights);
    CHECK(backend->download(table.delays) == std::vector<std::uint32_t>{15});
    CHECK(table.synapses() == 50 * 25);
    CHECK(plain.bytes() == 50 * 25 * 2 + sources * 4 + 4 + (3 * sources + 1) * 4);
  }
  {  // A source with two weights.
    const Synapses two = built({spec(kind, "0.5", "1.5", 1, first), spec(kind, "0.6", "1.5", 2, first)});
    CHECK(two.table().own_weights);
    CHECK(two.bytes() == 30 * 25 * 6 + 4 + (3 * sources + 1) * 4);
  }
  CHECK(built({spec(kind, "normal(1, 0.1)", "1.5")}).table().own_weights);
  const Synapses delayed = built({spec(kind, "1", "1.5", 1, first), spec(kind, "1", "0.2", 2, others)});
  CHECK_FALSE(delayed.table().own_weights);
  CHECK(backend->download(delayed.table().delays) == std::vector<std::uint32_t>{2, 15});
}

TEST_CASE("delays are rounded to steps", "[synapse_builder]") {
  const auto backend = make_backend("reference", 1);
  const auto delays = [&](const std::string& delay, double step) {
    return backend->download(
        build_synapses(*backend, {spec(Kind::one_to_one, "1", delay, 1, {.sources = 9, .targets = 9})}, 9, 9,
                       step, seed)
            .table()
            .delays);
  };
  using Steps = std::vector<std::uint32_t>;
  CHECK(delays("1.5", 0.1) == Steps{15});
  CHECK(delays("1.5", static_cast<double>(0.1F)) == Steps{15});
  CHECK(delays("0.05", 0.1) == Steps{1});
  CHECK(delays("0.05", static_cast<double>(0.1F)) == Steps{1});
  CHECK(delays("0.149", 0.1) == Steps{1});
  CHECK(delays("0.151", 0.1) == Steps{2});
  CHECK(delays("65535", 1) == Steps{65535});
  CHECK(delays("uniform(65534.6, 65535.4)", 1) == Steps{65535});
  for (const char* delay :
       {"0.04", "0", "-1", "6553.6", "normal(0.1, 1)", "uniform(6553, 6560)", "1 clipped to [0, 5000]"}) {
    INFO(delay);
    const std::string message = refusal({spec(Kind::all_to_all, "1", delay)});
    if (std::string(delay).starts_with("1 ")) {
      CHECK(message.empty());
    } else {
      CHECK(message == "projection: delays of " + std::string(delay) +
                           " ms are not all from 1 to 65535 steps of 0.1 ms");
    }
  }
}

TEST_CASE("a table may be empty", "[synapse_builder]") {
  on_each_backend([](Backend& backend) {
    SynapseSpec none = spec(Kind::pairwise_bernoulli, "normal(0, 1)", "uniform(1, 2)");
    none.rule.probability = 0;
    for (const auto& specs : {std::vector<SynapseSpec>{}, {none}}) {
      const Synapses built = build_synapses(backend, specs, sources, targets, dt, seed, 100);
      CHECK(listed(backend, built).empty());
      CHECK(built.table().blocks() == 7);
    }
    const SynapseSpec nothing = spec(Kind::all_to_all, "1", "1", 1, {});
    CHECK(listed(backend, build_synapses(backend, {nothing}, 0, 0, dt, seed)).empty());
    CHECK(listed(backend, build_synapses(backend, {nothing}, 3, 0, dt, seed)).empty());
    CHECK(listed(backend, build_synapses(backend, {nothing}, 0, 3, dt, seed)).empty());
  });
}

TEST_CASE("autapses are left out of a table", "[synapse_builder]") {
  const auto backend = make_backend("reference", 1);
  SynapseSpec own = spec(Kind::fixed_indegree, "1", "1", 1,
                         {.sources = 30, .first_target = 10, .targets = 30, .same_group = true});
  own.rule.autapses = false;
  const std::vector<Synapse> found =
      listed(*backend, build_synapses(*backend, {own}, sources, sources, dt, seed, 7));
  CHECK(found.size() == 30 * 25);
  CHECK(std::ranges::none_of(found, [](const Synapse& synapse) { return synapse.source == synapse.target; }));
}

TEST_CASE("what cannot be built is refused", "[synapse_builder]") {
  SynapseSpec wrong = spec(Kind::one_to_one, "1", "1");
  CHECK(refusal({wrong}) == "projection: one_to_one needs as many sources as targets; there are 40 and 700");
  const std::string many = "synapses between two groups of neurons are more than 4294967295";
  CHECK(refusal({spec(Kind::all_to_all, "1", "1", 1, {.sources = 70000, .targets = 70000})}, 70000, 70000)
            .ends_with(many));
  SynapseSpec total = spec(Kind::fixed_total_number, "1", "1");
  total.rule.number = 3000000000;
  CHECK(refusal({total, total}) == "projection: about 6e+09 " + many);

  const auto backend = make_backend("reference", 1);
  const auto built = [&](const SynapseSpec& one, std::size_t block) {
    return build_synapses(*backend, {one}, sources, targets, dt, seed, block);
  };
  const SynapseSpec fits = spec(Kind::fixed_outdegree, "1", "1");
  CHECK_NOTHROW(built(fits, 65536));
  CHECK_THROWS_AS(built(fits, 0), std::invalid_argument);
  CHECK_THROWS_AS(built(fits, 65537), std::invalid_argument);
  CHECK_THROWS_AS(build_synapses(*backend, {fits}, sources, targets, 0, seed), std::invalid_argument);
  CHECK_THROWS_AS(build_synapses(*backend, {fits}, sources - 1, targets, dt, seed), std::invalid_argument);
  CHECK_THROWS_AS(build_synapses(*backend, {fits}, sources, targets - 1, dt, seed), std::invalid_argument);
  CHECK_THROWS_AS(built(spec(Kind::fixed_outdegree, "1", "1", 1U << 24U), 100), std::invalid_argument);
}

}  // namespace orthospike::testing
