#include "learning/subspaces/quality.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/error.hpp"
#include "tests/catch.hpp"

namespace orthospike {
namespace {

/// Second moment with energies 4, 2, 1 along the axes of three dimensions.
const std::vector<float> diagonal = {4, 0, 0, 0, 2, 0, 0, 0, 1};

TEST_CASE("the leading axes explain their share and lie in the leading eigenspace") {
  const SubspaceQuality quality = measure_subspace("p", std::vector<float>{1, 0, 0, 0, 1, 0}, 2, diagonal, 3);
  CHECK(quality.orthonormality_error == Approx(0).margin(1e-6));
  CHECK(quality.largest_eigenvalue == Approx(1));
  CHECK(quality.explained_energy == Approx(6.0 / 7.0));
  CHECK(quality.largest_angle == Approx(0).margin(0.1));
}

TEST_CASE("angles of a plane turned out of the leading one") {
  const float c = std::cos(0.5F), s = std::sin(0.5F);
  const SubspaceQuality quality = measure_subspace("p", std::vector<float>{1, 0, 0, 0, c, s}, 2, diagonal, 3);
  CHECK(quality.largest_angle == Approx(0.5 * 180 / 3.14159265).epsilon(1e-3));
  CHECK(quality.mean_angle == Approx(0.25 * 180 / 3.14159265).epsilon(1e-2));
  CHECK(quality.explained_energy == Approx((4 + 2 * c * c + s * s) / 7.0));
}

TEST_CASE("rows that are not orthonormal are reported, angles are those of their span") {
  const SubspaceQuality quality = measure_subspace("p", std::vector<float>{2, 0, 0, 1, 1, 0}, 2, diagonal, 3);
  // h hᵀ - I = {{3, 2}, {2, 1}}
  CHECK(quality.orthonormality_error == Approx(std::sqrt(9.0 + 4 + 4 + 1)));
  CHECK(quality.largest_eigenvalue == Approx(3 + std::sqrt(5.0)));
  CHECK(quality.largest_angle == Approx(0).margin(0.1));
}

TEST_CASE("rank 0 has no angles, numbers that are not finite are refused") {
  const SubspaceQuality nothing = measure_subspace("p", {}, 0, diagonal, 3);
  CHECK(nothing.explained_energy == 0);
  CHECK(std::isnan(nothing.largest_eigenvalue));
  CHECK(std::isnan(nothing.largest_angle));
  std::vector<float> broken = diagonal;
  broken[4] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH(measure_subspace("input_to_hidden1", std::vector<float>{1, 0, 0}, 1, broken, 3),
                    "the subspace of input_to_hidden1 cannot be measured: its rows or the energy of its "
                    "activity are not finite");
}

TEST_CASE("a silent sample has no angles, one of few neurons as few as these") {
  const std::vector<float> silent(9, 0.0F), one = {0, 0, 0, 0, 3, 0, 0, 0, 0},
                                            rows = {1, 0, 0, 0, 0.6F, 0.8F};
  const SubspaceQuality nothing = measure_subspace("p", rows, 2, silent, 3);
  for (const double value : {nothing.explained_energy, nothing.mean_angle, nothing.largest_angle})
    CHECK(std::isnan(value));
  CHECK(std::isnan(measure_subspace("p", {}, 0, silent, 3).explained_energy));
  CHECK(nothing.largest_eigenvalue == Approx(1));
  CHECK(nothing.orthonormality_error == Approx(0).margin(1e-6));
  const SubspaceQuality quality = measure_subspace("p", rows, 2, one, 3);
  CHECK(quality.mean_angle == Approx(std::acos(0.6) * 180 / 3.14159265).epsilon(1e-4));
  CHECK(quality.largest_angle == quality.mean_angle);
  CHECK(quality.explained_energy == Approx(0.36));
}

}  // namespace
}  // namespace orthospike
