#include "sim/simulation/spike_statistics.hpp"

#include <cmath>
#include <random>

#include "tests/catch.hpp"

namespace orthospike::testing {
namespace {

/// Spikes of one population, step by step.
void tell(SpikeStatistics& statistics, std::size_t population,
          const std::vector<std::vector<std::uint32_t>>& steps) {
  std::vector<std::uint32_t> counts, neurons;
  for (const auto& of_step : steps) {
    counts.push_back(static_cast<std::uint32_t>(of_step.size()));
    neurons.insert(neurons.end(), of_step.begin(), of_step.end());
  }
  statistics.spikes(population, 0, counts, neurons);
}

}  // namespace

TEST_CASE("rates and intervals are those of spikes after the warm-up", "[statistics]") {
  SpikeStatistics statistics({3, 2}, 0.5F, 100, 1);
  std::vector<std::vector<std::uint32_t>> steps(300);
  for (std::size_t t = 0; t < 300; t += 10) steps[t].push_back(0);  // 20 after step 100
  for (const std::size_t t : {110U, 120U, 150U}) steps[t].push_back(1);
  steps[50].push_back(2);
  tell(statistics, 0, steps);
  const auto found = statistics.measures(0);
  CHECK(found.spikes == 23);
  CHECK(found.rate == Approx(23 / 3.0 / 0.1));
  const double mean = 23 / 3.0;
  CHECK(found.rate_deviation == Approx(std::sqrt((400 + 9 + 0) / 3.0 - mean * mean) / 0.1));
  CHECK(found.silent == Approx(1 / 3.0));
  // 0 of the regular one, and intervals of 10 and 30 steps.
  CHECK(found.cv == Approx((0 + 10.0 / 20) / 2));
  tell(statistics, 1, std::vector<std::vector<std::uint32_t>>(300));
  const auto none = statistics.measures(1);
  CHECK(none.rate == 0);
  CHECK(none.silent == 1);
  CHECK(std::isnan(none.cv));
  CHECK(std::isnan(none.correlation));
  CHECK(std::isnan(none.fano));
}

TEST_CASE("correlations and Fano factors tell trains alike from independent ones", "[statistics]") {
  constexpr std::size_t neurons = 60, length = 40000;
  std::mt19937 generator(3);
  std::vector<std::vector<std::uint32_t>> alike(length), apart(length), half(length);
  for (std::size_t t = 0; t < length; ++t) {
    const bool all = generator() % 40 == 0;
    for (std::uint32_t i = 0; i < neurons; ++i) {
      if (all) alike[t].push_back(i);
      if (generator() % 40 == 0) apart[t].push_back(i);
      if (all ? generator() % 2 == 0 : generator() % 78 == 0) half[t].push_back(i);
    }
  }
  SpikeStatistics statistics({neurons, neurons, neurons}, 0.5F, 0, 1);
  tell(statistics, 0, alike);
  tell(statistics, 1, apart);
  tell(statistics, 2, half);
  CHECK(statistics.measures(0).correlation == Approx(1));
  CHECK(statistics.measures(1).correlation == Approx(0).margin(0.005));
  CHECK(statistics.measures(2).correlation == Approx(0.24).margin(0.05));
  // Of a sum of independent ones what one has, of the sum of copies so many times as much.
  CHECK(statistics.measures(1).fano == Approx(1).margin(0.1));
  CHECK(statistics.measures(0).fano == Approx(neurons).epsilon(0.05));
}

TEST_CASE("of large populations some neurons are looked at for correlations", "[statistics]") {
  constexpr std::size_t neurons = 5000;
  std::vector<std::vector<std::uint32_t>> steps(4000);
  for (std::size_t t = 0; t < steps.size(); t += 16) {
    for (std::uint32_t i = 0; i < neurons; i += 2) steps[t].push_back(i);
  }
  SpikeStatistics statistics({neurons}, 0.5F, 0, 1);
  tell(statistics, 0, steps);
  CHECK(statistics.measures(0).correlation == Approx(1));
  CHECK(statistics.measures(0).silent == 0.5);
}

}  // namespace orthospike::testing
