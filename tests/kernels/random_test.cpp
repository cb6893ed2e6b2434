#include "kernels/random.hpp"

#include <array>
#include <cmath>
#include <vector>

#include "kernels/random_numbers.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

std::array<std::uint32_t, 4> words(const RandomBlock& block) {
  return {block.v[0], block.v[1], block.v[2], block.v[3]};
}

struct Moments {
  double mean, variance, fourth;  ///< fourth: of the standardised numbers
};

Moments moments(const std::vector<float>& values) {
  const auto count = static_cast<double>(values.size());
  double sum = 0;
  for (const float value : values) sum += value;
  const double mean = sum / count;
  double squares = 0, fourths = 0;
  for (const float value : values) {
    squares += std::pow(value - mean, 2);
    fourths += std::pow(value - mean, 4);
  }
  const double variance = squares / count;
  return {mean, variance, fourths / count / (variance * variance)};
}

}  // namespace

TEST_CASE("random blocks are those of Philox4x32-10", "[random]") {
  // Known answers of the Random123 distribution.
  const RandomKey zero{0, RandomPurpose{0}, 0};
  CHECK(words(random_block(zero, 0)) ==
        std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const RandomKey ones{~std::uint64_t{0}, RandomPurpose{0xffffffff}, 0xffffffff};
  CHECK(words(random_block(ones, ~std::uint64_t{0})) ==
        std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  // Digits of pi: counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0.
  const RandomKey pi{0x299f31d0a4093822, RandomPurpose{0x13198a2e}, 0x03707344};
  CHECK(words(random_block(pi, 0x85a308d3243f6a88)) ==
        std::array<std::uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("seed, purpose, stream and index each give other blocks", "[random]") {
  const RandomKey key{2022, RandomPurpose::weights, 1};
  const auto block = words(random_block(key, 5));
  CHECK(block == words(random_block({2022, RandomPurpose::weights, 1}, 5)));
  CHECK(block != words(random_block({2023, RandomPurpose::weights, 1}, 5)));
  CHECK(block != words(random_block({2022 + (std::uint64_t{1} << 32), RandomPurpose::weights, 1}, 5)));
  CHECK(block != words(random_block({2022, RandomPurpose::subspace, 1}, 5)));
  CHECK(block != words(random_block({2022, RandomPurpose::weights, 2}, 5)));
  CHECK(block != words(random_block(key, 6)));
  CHECK(block != words(random_block(key, 5 + (std::uint64_t{1} << 32))));
}

TEST_CASE("uniform and normal numbers come from words", "[random]") {
  CHECK(unit_uniform(0) == 0.0F);
  CHECK(unit_uniform(0x80000000) == 0.5F);
  CHECK(unit_uniform(0xffffffff) == 1.0F - 0x1p-24F);
  // The radius is √(-2 ln(1 - first)), the angle a full turn times second.
  CHECK(standard_normal(0, 0x12345678) == 0.0F);
  CHECK(standard_normal(0x80000000, 0) == Approx(std::sqrt(2.0 * std::log(2.0))));
  CHECK(standard_normal(0x80000000, 0x80000000) == Approx(-std::sqrt(2.0 * std::log(2.0))));
  CHECK(standard_normal(0xffffffff, 0) == Approx(std::sqrt(48.0 * std::log(2.0))));
}

TEST_CASE("bounded numbers cover their range and nothing more", "[random]") {
  CHECK(bounded(0, 10) == 0);
  CHECK(bounded(0x7fffffff, 10) == 4);
  CHECK(bounded(0x80000000, 10) == 5);
  CHECK(bounded(0xffffffff, 10) == 9);
  CHECK(bounded(0xffffffff, 1) == 0);
}

TEST_CASE("filled numbers are the words of the blocks in order", "[random]") {
  const auto backend = make_backend("reference", 1);
  const RandomKey key{7, RandomPurpose::weights, 3};
  Array<float> values = backend->allocate<float>(6);
  backend->random_numbers().run(FillUniform{.values = values.view(), .low = -1.0F, .high = 3.0F, .key = key});
  const std::vector<float> uniform = downloaded(*backend, values);
  CHECK(uniform[0] == Approx(-1.0F + 4.0F * unit_uniform(random_block(key, 0).v[0])));
  CHECK(uniform[3] == Approx(-1.0F + 4.0F * unit_uniform(random_block(key, 0).v[3])));
  CHECK(uniform[5] == Approx(-1.0F + 4.0F * unit_uniform(random_block(key, 1).v[1])));
  backend->random_numbers().run(FillNormal{.values = values.view(), .key = key});
  const std::vector<float> normal = downloaded(*backend, values);
  CHECK(normal[0] == standard_normal(random_block(key, 0).v[0], random_block(key, 0).v[1]));
  CHECK(normal[1] == standard_normal(random_block(key, 0).v[2], random_block(key, 0).v[3]));
  CHECK(normal[4] == standard_normal(random_block(key, 2).v[0], random_block(key, 2).v[1]));
}

TEST_CASE("filled numbers have the moments of their distribution", "[random]") {
  // Bands of five standard deviations of the estimates.
  constexpr std::size_t count = 100'000;
  const double five = 5.0 / std::sqrt(static_cast<double>(count));
  on_each_backend([&](Backend& backend) {
    Array<float> values = backend.allocate<float>(count);
    backend.random_numbers().run(FillUniform{
        .values = values.view(), .low = -1.0F, .high = 3.0F, .key = {2022, RandomPurpose::weights, 0}});
    const std::vector<float> uniform = downloaded(backend, values);
    CHECK(*std::min_element(uniform.begin(), uniform.end()) >= -1.0F);
    CHECK(*std::max_element(uniform.begin(), uniform.end()) < 3.0F);
    const Moments of_uniform = moments(uniform);
    CHECK(std::abs(of_uniform.mean - 1.0) < five * std::sqrt(4.0 / 3.0));
    CHECK(std::abs(of_uniform.variance - 4.0 / 3.0) < five * 4.0 / 3.0 * std::sqrt(1.8 - 1.0));
    CHECK(std::abs(of_uniform.fourth - 1.8) < 0.05);

    backend.random_numbers().run(
        FillNormal{.values = values.view(), .key = {2022, RandomPurpose::subspace, 0}});
    const Moments of_normal = moments(downloaded(backend, values));
    CHECK(std::abs(of_normal.mean) < five);
    CHECK(std::abs(of_normal.variance - 1.0) < five * std::sqrt(2.0));
    CHECK(std::abs(of_normal.fourth - 3.0) < five * std::sqrt(24.0));
  });
}

TEST_CASE("streams are not correlated", "[random]") {
  constexpr std::size_t count = 100'000;
  const auto backend = make_backend("cpu", 1);
  const auto normal = [&](const RandomKey& key) {
    Array<float> values = backend->allocate<float>(count);
    backend->random_numbers().run(FillNormal{.values = values.view(), .key = key});
    return downloaded(*backend, values);
  };
  const std::vector<float> base = normal({1, RandomPurpose::weights, 0});
  for (const RandomKey& key : {RandomKey{2, RandomPurpose::weights, 0},
                               {1, RandomPurpose::feedback_weights, 0},
                               {1, RandomPurpose::weights, 1}}) {
    const std::vector<float> other = normal(key);
    double product = 0;
    for (std::size_t i = 0; i < count; ++i) product += static_cast<double>(base[i]) * other[i];
    CHECK(std::abs(product) < 5.0 * std::sqrt(static_cast<double>(count)));
  }
}

}  // namespace orthospike::testing
