#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "kernels/poisson_table.hpp"
#include "kernels/random.hpp"
#include "kernels/synapses.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

struct Synapse {
  std::uint32_t source, target, delay;
  float weight;
};

/// Some drawn at random, several of them between the same two neurons.
std::vector<Synapse> random_synapses(std::size_t count, std::uint32_t sources, std::uint32_t targets,
                                     const std::vector<std::uint32_t>& delays) {
  std::mt19937 generator(5);
  std::vector<Synapse> synapses;
  for (std::size_t k = 0; k < count; ++k) {
    const auto delay = delays[generator() % delays.size()];
    synapses.push_back({static_cast<std::uint32_t>(generator() % sources),
                        static_cast<std::uint32_t>(generator() % targets), delay,
                        0.25F + static_cast<float>(generator() % 64) / 64.0F});
  }
  return synapses;
}

/// In the order of a SynapseTable, on a back end. Without weights of their own those of a source have its number / 8.
class TableArrays {
 public:
  TableArrays(Backend& backend, std::vector<Synapse> synapses, std::size_t sources, std::size_t targets,
              std::size_t block, const std::vector<std::uint32_t>& delays, bool own_weights)
      : sources_(sources), targets_(targets), block_(block), own_weights_(own_weights) {
    const auto key = [&](const Synapse& s) {
      return std::tuple(s.target / block, s.source, s.delay, s.target);
    };
    std::ranges::stable_sort(synapses, {}, key);
    std::vector<std::uint32_t> starts;
    std::vector<std::uint16_t> within;
    std::vector<float> weights;
    std::uint32_t passed = 0;
    for (std::size_t b = 0; b < (targets + block - 1) / block; ++b) {
      for (std::size_t source = 0; source < sources; ++source) {
        for (const std::uint32_t delay : delays) {
          const std::tuple first(b, source, delay, 0);
          while (passed < synapses.size() && key(synapses[passed]) < first) ++passed;
          starts.push_back(passed);
        }
      }
    }
    starts.push_back(static_cast<std::uint32_t>(synapses.size()));
    for (const Synapse& s : synapses) {
      within.push_back(static_cast<std::uint16_t>(s.target % block));
      weights.push_back(s.weight);
    }
    if (!own_weights) {
      weights.clear();
      for (std::size_t source = 0; source < sources; ++source)
        weights.push_back(static_cast<float>(source) / 8);
    }
    delays_ = uploaded(backend, delays);
    starts_ = uploaded(backend, starts);
    within_ = uploaded(backend, within);
    weights_ = uploaded(backend, weights);
  }

  SynapseTable table() const {
    return {.sources = sources_,
            .targets = targets_,
            .block = block_,
            .delays = delays_.view(),
            .starts = starts_.view(),
            .within = within_.view(),
            .own_weights = own_weights_,
            .weights = weights_.view()};
  }

 private:
  std::size_t sources_, targets_, block_;
  bool own_weights_;
  Array<std::uint32_t> delays_, starts_;
  Array<std::uint16_t> within_;
  Array<float> weights_;
};

}  // namespace

TEST_CASE("what arrives along synapses agrees with the reference and its definition",
          "[conformance][synapses]") {
  constexpr std::size_t sources = 70, targets = 133, count = 3000;
  for (const std::size_t block : {16U, 50U, 200U}) {
    for (const auto& [delays, steps, ring] :
         std::vector<std::tuple<std::vector<std::uint32_t>, std::size_t, std::size_t>>{
             {{3}, 3, 6}, {{1, 2, 5, 9}, 1, 10}, {{4, 7}, 2, 12}}) {
      for (const bool own_weights : {true, false}) {
        for (const float beta : {0.0F, 0.5F}) {
          for (const std::uint64_t now : {std::uint64_t{0}, std::uint64_t{2}, std::uint64_t{1000003}}) {
            INFO("block " << block << ", first delay " << delays.front() << ", own weights " << own_weights
                          << ", beta " << beta << ", now " << now);
            const std::vector<Synapse> synapses = random_synapses(count, sources, targets, delays);
            const EventLists events = random_events(ring, sources, 0.3, 1);
            const std::vector<float> before = beta == 0.0F ? std::vector<float>(steps * targets, not_a_number)
                                                           : random_values(steps * targets, 2, 0.5F);
            std::vector<double> expected(steps * targets);
            for (std::size_t s = 0; s < steps; ++s) {
              for (std::size_t j = 0; j < targets && beta != 0; ++j)
                expected[s * targets + j] = static_cast<double>(beta) * before[s * targets + j];
              for (const Synapse& synapse : synapses) {
                if (synapse.delay > now + s) continue;
                const auto& spiked = events[(now + s - synapse.delay) % ring];
                if (std::ranges::find(spiked, synapse.source) != spiked.end())
                  expected[s * targets + synapse.target] +=
                      own_weights ? synapse.weight : static_cast<float>(synapse.source) / 8;
              }
            }
            check_conformance([&](Backend& backend) {
              const TableArrays arrays(backend, synapses, sources, targets, block, delays, own_weights);
              SpikeArrays spikes = uploaded_spikes(backend, events, sources);
              auto arriving = uploaded(backend, before);
              backend.synapses().run(DeliverSynapses{.synapses = arrays.table(),
                                                     .spikes = spikes.view(),
                                                     .now = now,
                                                     .beta = beta,
                                                     .arriving = arriving.matrix(steps, targets)});
              const auto found = downloaded(backend, arriving);
              CHECK(difference(expected, about(found, 0).values) <= 1e-6);
              return Outcome{{"arriving", about(found, 1e-6)}};
            });
          }
        }
      }
    }
  }
}

TEST_CASE("synapses that do not fit their populations are refused", "[synapses]") {
  on_each_backend([](Backend& backend) {
    const TableArrays arrays(backend, {{0, 1, 2, 1.0F}}, 3, 4, 2, {2}, true);
    SpikeArrays spikes = uploaded_spikes(backend, EventLists(4), 3);
    auto arriving = backend.allocate<float>(20);
    const auto deliver = [&](const SynapseTable& table, std::size_t targets) {
      backend.synapses().run(DeliverSynapses{
          .synapses = table, .spikes = spikes.view(), .arriving = arriving.matrix(2, targets)});
    };
    CHECK_NOTHROW(deliver(arrays.table(), 4));
    CHECK_THROWS_AS(deliver(arrays.table(), 5), std::invalid_argument);
    const auto changed = [&](auto change) {
      SynapseTable table = arrays.table();
      change(table);
      return table;
    };
    for (const SynapseTable& table :
         {changed([](SynapseTable& t) { t.block = 0; }), changed([](SynapseTable& t) { t.block = 65537; }),
          changed([](SynapseTable& t) { t.block = 4; }), changed([](SynapseTable& t) { t.sources = 2; }),
          changed([](SynapseTable& t) { t.own_weights = false; }),
          changed([](SynapseTable& t) { t.starts = t.starts.subview(0, 6); })})
      CHECK_THROWS_AS(deliver(table, 4), std::invalid_argument);
  });
}

TEST_CASE("Poisson numbers agree with the reference, from any step on", "[conformance][synapses]") {
  const RandomKey key{77, RandomPurpose::weights, 3};
  for (const double mean : {0.0, 0.01, 2.0, 900.0}) {
    // The last one passes 2³² blocks.
    for (const std::uint64_t first :
         {std::uint64_t{0}, std::uint64_t{7}, (std::uint64_t{1} << 34) / 4099 - 2}) {
      INFO("mean " << mean << ", step " << first);
      const std::vector<std::uint32_t> table = poisson_table(mean);
      check_conformance([&](Backend& backend) {
        const auto below = uploaded(backend, table);
        // Products are rounded before they are added, on every instruction set.
        auto values = uploaded(backend, std::vector<float>(5 * 4099, 0.7F));
        backend.synapses().run(AddPoisson{.below = below.view(),
                                          .weight = 0.3F,
                                          .key = key,
                                          .first = first,
                                          .values = values.matrix(5, 4099)});
        const auto found = downloaded(backend, values);
        // Of one element the number, from its own word.
        const std::uint64_t element = (first + 3) * 4099 + 17;
        const std::uint32_t word = random_block(key, element / 4).v[element % 4];
        const auto number = std::ranges::upper_bound(table, word) - table.begin();
        const float added = 0.3F * static_cast<float>(number);
        CHECK(found[3 * 4099 + 17] == 0.7F + added);
        return Outcome{{"values", exactly(found)}};
      });
    }
  }
}

TEST_CASE("Poisson tables are the distribution", "[synapses]") {
  CHECK(poisson_table(0).empty());
  CHECK_THROWS_AS(poisson_table(-1), std::invalid_argument);
  CHECK_THROWS_AS(poisson_table(std::nan("")), std::invalid_argument);
  for (const double mean : {1e-6, 0.3, 2.0, 40.0, 5000.0}) {
    INFO("mean " << mean);
    const std::vector<std::uint32_t> table = poisson_table(mean);
    CHECK(std::ranges::is_sorted(table));
    double expectation = 0, square = 0;  // Σ over k of P(number > k), and of (2k + 1) of it
    for (std::size_t k = 0; k < table.size(); ++k) {
      const double above = 1 - table[k] * 0x1p-32;
      expectation += above;
      square += (2 * static_cast<double>(k) + 1) * above;
    }
    CHECK(expectation == Approx(mean).epsilon(1e-5).margin(1e-9));
    CHECK(square - expectation * expectation == Approx(mean).epsilon(1e-4).margin(1e-9));
  }
}

}  // namespace orthospike::testing
