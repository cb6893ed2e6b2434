#include "sim/synapses/distribution.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "kernels/error.hpp"
#include "tests/catch.hpp"

namespace orthospike::testing {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr RandomKey key{.seed = 5, .purpose = RandomPurpose::synapses, .stream = 3 << 8};

Distribution parsed(const std::string& text) {
  return Distribution::parse("projection.weight", text);
}

std::vector<double> draws(const std::string& text, unsigned half = 0) {
  const Distribution distribution = parsed(text);
  std::vector<double> values(20000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = distribution.draw(key, i, half);
  return values;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double deviation(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += (value - mean(values)) * (value - mean(values));
  return std::sqrt(sum / static_cast<double>(values.size()));
}

std::string refusal(const std::string& text) {
  try {
    parsed(text);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a distribution has the moments of its name", "[distribution]") {
  struct Expected {
    const char* text;
    double mean, deviation;
  };
  // Of the normal above its lower bound, whose density there is φ and whose mass is M: mean φ/M in deviations.
  const double cut = -1.45 / 0.75;
  const double density = std::exp(-cut * cut / 2) / std::sqrt(2 * std::numbers::pi);
  const double ratio = density / (0.5 * std::erfc(cut / std::sqrt(2)));
  const double e = std::numbers::e;
  for (const auto& [text, expected_mean, expected_deviation] :
       {Expected{"0.25", 0.25, 0},
        {"uniform(1, 3)", 2, 2 / std::sqrt(12)},
        {"normal(87.8, 8.78)", 87.8, 8.78},
        {"lognormal(0, 0.5)", std::exp(0.125), std::exp(0.125) * std::sqrt(std::exp(0.25) - 1)},
        {"lognormal(1, 0)", e, 0},
        {"normal(1.5, 0.75) in [0.05, inf]", 1.5 + 0.75 * ratio,
         0.75 * std::sqrt(1 + cut * ratio - ratio * ratio)},
        {"normal(2, 1) clipped to [2, inf]", 2 + 1 / std::sqrt(2 * std::numbers::pi),
         std::sqrt(0.5 - 0.5 / std::numbers::pi)}}) {
    INFO(text);
    for (const unsigned half : {0U, 1U}) {
      const std::vector<double> values = draws(text, half);
      const double error = expected_deviation / std::sqrt(values.size());
      CHECK(std::abs(mean(values) - expected_mean) <= 5 * error + 1e-12);
      CHECK(deviation(values) == Approx(expected_deviation).epsilon(0.05).margin(1e-12));
    }
  }
}

TEST_CASE("a normal has the shares of its deviations", "[distribution]") {
  const std::vector<double> values = draws("normal(1, 2)");
  for (const double z : {-2.0, -1.0, 0.0, 0.5, 1.5}) {
    const auto below = std::ranges::count_if(values, [&](double value) { return value < 1 + 2 * z; });
    CHECK(static_cast<double>(below) / static_cast<double>(values.size()) ==
          Approx(0.5 * std::erfc(-z / std::sqrt(2))).margin(0.02));
  }
}

TEST_CASE("values are within bounds, drawn again or clipped", "[distribution]") {
  const auto at = [](const std::vector<double>& values, double bound) {
    return static_cast<double>(std::ranges::count(values, bound)) / static_cast<double>(values.size());
  };
  const auto within = [](const std::vector<double>& values, double low, double high) {
    return std::ranges::all_of(values, [&](double value) { return value >= low && value <= high; });
  };
  const std::vector<double> again = draws("normal(0, 1) in [-0.5, 1]");
  CHECK(within(again, -0.5, 1));
  CHECK(at(again, -0.5) < 0.01);
  CHECK(at(again, 1) < 0.01);
  const std::vector<double> clipped = draws("normal(0, 1) clipped to [-0.5, 1]");
  CHECK(within(clipped, -0.5, 1));
  CHECK(at(clipped, -0.5) == Approx(0.3085).margin(0.02));
  CHECK(at(clipped, 1) == Approx(0.1587).margin(0.02));
  CHECK(within(draws("uniform(1, 3)"), 1, 3));
  CHECK(within(draws("lognormal(0, 1)"), 0, infinity));
}

TEST_CASE("a value is clipped where no attempt falls within its bounds", "[distribution]") {
  for (const double value : draws("normal(0, 1) in [9, 10]")) CHECK(value == 9);
}

TEST_CASE("halves of a block are independent, and a block that is at hand gives the same", "[distribution]") {
  const Distribution distribution = parsed("normal(0, 1) in [-1, inf]");
  const std::vector<double> first = draws(distribution.text(), 0), second = draws(distribution.text(), 1);
  double product = 0;
  for (std::size_t i = 0; i < first.size(); ++i)
    product += (first[i] - mean(first)) * (second[i] - mean(second));
  CHECK(std::abs(product / static_cast<double>(first.size())) < 0.03);
  for (std::uint64_t i = 0; i < 100; ++i) {
    const RandomBlock block = random_block(key, i);
    CHECK(distribution.draw(block, key, i, 0) == first[i]);
    CHECK(distribution.draw(block, key, i, 1) == second[i]);
  }
}

TEST_CASE("attempts are of streams that follow each other", "[distribution]") {
  const Distribution plain = parsed("normal(0, 1)"), bounded = parsed("normal(0, 1) in [0, inf]");
  for (std::uint64_t i = 0; i < 100; ++i) {
    RandomKey attempt = key;
    while (plain.draw(attempt, i, 1) < 0) ++attempt.stream;
    CHECK(bounded.draw(key, i, 1) == plain.draw(attempt, i, 1));
  }
}

TEST_CASE("texts of distributions are read and written back", "[distribution]") {
  for (const char* text :
       {"0.1", "-3", "1e-30", "uniform(1, 2)", "uniform(2, 2)", "normal(87.8, 8.78)", "lognormal(0, 1)",
        "normal(87.8, 8.78) in [0, inf]", "normal(-1, 0.1) in [-inf, 0]", "1 clipped to [0, 5]",
        "lognormal(0, 1) clipped to [0, 5]", "0.30000000000000004"}) {
    INFO(text);
    CHECK(parsed(text).text() == text);
    CHECK(parsed(parsed(text).text()) == parsed(text));
  }
  CHECK(parsed("  normal ( 1,2 )in[0,inf ]  ").text() == "normal(1, 2) in [0, inf]");
  CHECK(parsed("0.1 clipped  to [0, 1]").text() == "0.1 clipped to [0, 1]");
}

TEST_CASE("what has one value says so", "[distribution]") {
  CHECK(parsed("0.1").constant() == 0.1);
  CHECK(parsed("uniform(2, 2)").constant() == 2);
  CHECK(parsed("normal(3, 0) in [0, 5]").constant() == 3);
  CHECK(parsed("lognormal(0, 0)").constant() == 1);
  CHECK_FALSE(parsed("uniform(1, 2)").constant());
  CHECK_FALSE(parsed("normal(0, 1)").constant());
  CHECK_FALSE(parsed("lognormal(0, 1)").constant());
}

TEST_CASE("other texts are no distributions", "[distribution]") {
  for (const char* text : {"",
                           "some",
                           "nan",
                           "inf",
                           "0,1",
                           "1 2",
                           "0x1",
                           "uniform",
                           "uniform(1)",
                           "uniform(1, 2, 3)",
                           "uniform(1, 2",
                           "uniform 1, 2",
                           "normal(1; 2)",
                           "normal(nan, 1)",
                           "normal(0, inf)",
                           "gamma(1, 2)",
                           "normal(1, 2) within [0, 1]",
                           "normal(1, 2) in (0, 1)",
                           "normal(1, 2) in [0]",
                           "normal(1, 2) in [0, nan]",
                           "normal(1, 2) clipped [0, 1]",
                           "normal(1, 2) in [0, 1] in [0, 1]",
                           "1 in",
                           "1 in [0, 2] and more"}) {
    INFO(text);
    const std::string message = refusal(text);
    CHECK(message.starts_with("projection.weight: '" + std::string(text) +
                              "' is not a number, uniform(low, high)"));
  }
  CHECK(refusal("uniform(2, 1)") ==
        "projection.weight: 'uniform(2, 1)' is not uniform(low, high) with low <= high");
  for (const char* text : {"normal(1, -1)", "lognormal(1, -0.5)"}) {
    INFO(text);
    CHECK(refusal(text).ends_with("is not a distribution whose deviation is >= 0"));
  }
  for (const std::string text : {"1e39", "-1e39", "uniform(-1e39, 0)", "normal(0, 1e38)", "lognormal(0, 20)"})
    CHECK(refusal(text).ends_with("is not a distribution whose values single precision can hold"));
  CHECK(refusal("normal(0, 1) in [2, 1]").ends_with("is not a distribution in [low, high] with low <= high"));
  for (const char* text :
       {"1 in [2, 3]", "1 clipped to [2, inf]", "uniform(1, 2) in [3, 4]", "uniform(1, 2) in [2, 3]",
        "uniform(1, 2) clipped to [-inf, 0]", "lognormal(0, 1) in [-1, 0]", "normal(1, 0) in [2, 3]",
        "normal(1, 1) in [2, 2]", "0 in [inf, inf]"}) {
    INFO(text);
    CHECK(refusal(text).ends_with("is not a distribution whose values can fall within its bounds"));
  }
  for (const char* text : {"1 in [1, 1]", "uniform(1, 2) in [1.5, 9]", "normal(1, 0) in [1, 3]"}) {
    INFO(text);
    CHECK(refusal(text).empty());
  }
}

}  // namespace orthospike::testing
