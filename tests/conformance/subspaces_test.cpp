#include <vector>

#include "kernels/subspaces.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

struct Shape {
  std::size_t rows, rank, inputs;
};

/// Small enough that removing it from x leaves numbers of the size of x.
std::vector<float> random_weights(std::size_t rank, std::size_t inputs, std::uint32_t seed) {
  return random_values(rank * inputs, seed, -0.1F, 0.1F);
}

}  // namespace

TEST_CASE("remove_subspace agrees with the reference", "[conformance][subspace]") {
  for (const Shape& s : {Shape{1, 1, 1},
                         {67, 1, 131},
                         {1, 35, 131},
                         {67, 1, 1},
                         {67, 35, 131},
                         {131, 67, 259},
                         {300, 35, 131},
                         {67, 0, 131},
                         {0, 35, 131}}) {
    INFO(s.rows << " rows, rank " << s.rank << ", " << s.inputs << " inputs");
    check_conformance([&](Backend& backend) {
      const auto h = uploaded(backend, random_weights(s.rank, s.inputs, 1));
      const auto x = uploaded(backend, random_values(s.rows * s.inputs, 2));
      auto in_place = uploaded(backend, random_values(s.rows * s.inputs, 2));
      auto residual = uploaded(backend, std::vector<float>(s.rows * s.inputs, not_a_number));
      const ConstMatrix subspace = h.matrix(s.rank, s.inputs);
      backend.subspaces().run(RemoveSubspace{
          .h = subspace, .x = x.matrix(s.rows, s.inputs), .residual = residual.matrix(s.rows, s.inputs)});
      backend.subspaces().run(RemoveSubspace{.h = subspace,
                                             .x = in_place.matrix(s.rows, s.inputs),
                                             .residual = in_place.matrix(s.rows, s.inputs)});
      return Outcome{{"residual", about(downloaded(backend, residual), 2e-6)},
                     {"in place", about(downloaded(backend, in_place), 2e-6)},
                     {"x", exactly(downloaded(backend, x))}};
    });
  }
}

TEST_CASE("hebbian_step agrees with the reference", "[conformance][subspace]") {
  for (const Shape& s : {Shape{0, 1, 1}, {0, 1, 131}, {0, 67, 1}, {0, 67, 131}, {0, 131, 301}, {0, 0, 131}}) {
    INFO("rank " << s.rank << ", " << s.inputs << " inputs");
    check_conformance([&](Backend& backend) {
      const std::size_t size = s.rank * s.inputs;
      std::vector<float> values = random_values(size, 1, -10.0F, 10.0F);  // half of them beyond the clamp
      if (size > 3) values[1] = not_a_number;
      const auto correlation = uploaded(backend, values);
      auto velocity = uploaded(backend, random_values(size, 2));
      auto h = uploaded(backend, random_values(size, 3));
      backend.subspaces().run(
          FollowCorrelation{.rates = {.learning_rate = 0.1F, .momentum = 0.9F, .scale = 0.2F, .clamp = 1.0F},
                            .correlation = correlation.matrix(s.rank, s.inputs),
                            .velocity = velocity.matrix(s.rank, s.inputs),
                            .h = h.matrix(s.rank, s.inputs)});
      return Outcome{{"velocity", about(downloaded(backend, velocity), 1e-6)},
                     {"h", about(downloaded(backend, h), 1e-6)}};
    });
  }
}

TEST_CASE("hebbian_step from responses and residuals agrees with the reference", "[conformance][subspace]") {
  for (const Shape& s : {Shape{1, 1, 1},
                         {67, 1, 131},
                         {1, 67, 131},
                         {67, 35, 1},
                         {67, 35, 131},
                         {67, 131, 301},
                         {0, 35, 131},
                         {67, 0, 131}}) {
    INFO(s.rows << " rows, rank " << s.rank << ", " << s.inputs << " inputs");
    check_conformance([&](Backend& backend) {
      const auto response = uploaded(backend, random_values(s.rows * s.rank, 1));
      const auto residual = uploaded(backend, random_values(s.rows * s.inputs, 2));
      auto velocity = uploaded(backend, random_values(s.rank * s.inputs, 3));
      auto h = uploaded(backend, random_values(s.rank * s.inputs, 4));
      // Correlations of 67 rows have a deviation of 2.7: many lie beyond the clamp.
      backend.subspaces().run(
          HebbianStep{.rates = {.learning_rate = 0.1F, .momentum = 0.9F, .scale = 0.5F, .clamp = 1.0F},
                      .response = response.matrix(s.rows, s.rank),
                      .residual = residual.matrix(s.rows, s.inputs),
                      .velocity = velocity.matrix(s.rank, s.inputs),
                      .h = h.matrix(s.rank, s.inputs)});
      return Outcome{{"velocity", about(downloaded(backend, velocity), 2e-6)},
                     {"h", about(downloaded(backend, h), 2e-6)}};
    });
  }
}

TEST_CASE("orthonormalise_rows agrees with the reference", "[conformance][subspace]") {
  struct Case {
    std::size_t rank, first, inputs;
  };
  for (const Case& c : {Case{1, 0, 1},
                        {1, 0, 131},
                        {67, 0, 131},
                        {67, 20, 131},
                        {67, 66, 131},
                        {67, 67, 131},
                        {35, 0, 35},
                        {0, 0, 131}}) {
    INFO("rows " << c.first << " to " << c.rank << " of " << c.inputs << " inputs");
    check_conformance([&](Backend& backend) {
      auto h = uploaded(backend, random_values(c.rank * c.inputs, 1));
      const Matrix rows = h.matrix(c.rank, c.inputs);
      // Rows before the first are assumed orthonormal.
      backend.subspaces().run(OrthonormaliseRows{.h = rows.first_rows(c.first)});
      backend.subspaces().run(OrthonormaliseRows{.h = rows, .first = c.first});
      return Outcome{{"h", about(downloaded(backend, h), 1e-5)}};
    });
  }
}

TEST_CASE("orthonormalise_rows leaves the rows before untouched", "[conformance][subspace]") {
  constexpr std::size_t rank = 67, first = 20, inputs = 131;
  on_each_backend([&](Backend& backend) {
    auto h = uploaded(backend, random_values(rank * inputs, 1));
    const Matrix rows = h.matrix(rank, inputs);
    backend.subspaces().run(OrthonormaliseRows{.h = rows.first_rows(first)});
    const std::vector<float> before = downloaded(backend, h);
    backend.subspaces().run(OrthonormaliseRows{.h = rows, .first = first});
    const std::vector<float> after = downloaded(backend, h);
    CHECK(std::memcmp(before.data(), after.data(), first * inputs * sizeof(float)) == 0);

    double error = 0;
    for (std::size_t i = 0; i < rank; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        double product = 0;
        for (std::size_t k = 0; k < inputs; ++k) {
          product += static_cast<double>(after[i * inputs + k]) * after[j * inputs + k];
        }
        error = std::max(error, std::abs(product - (i == j ? 1.0 : 0.0)));
      }
    }
    CHECK(error < 1e-6);
  });
}

}  // namespace orthospike::testing
