#include "learning/subspaces/quality.hpp"

#include <cblas.h>
#include <fmt/format.h>
#include <lapacke.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

void require_success(lapack_int status, const std::string& projection) {
  if (status == 0) return;
  throw EnvironmentError(fmt::format(
      "the subspace of {} cannot be measured: its rows or the energy of its activity are not finite",
      projection));
}

double largest_eigenvalue(const std::string& projection, std::vector<float> symmetric, std::size_t n) {
  const auto size = static_cast<lapack_int>(n);
  std::vector<float> ascending(n);
  require_success(LAPACKE_ssyevd(LAPACK_COL_MAJOR, 'N', 'U', size, symmetric.data(), size, ascending.data()),
                  projection);
  return ascending.back();
}

/// Cosines of the principal angles: singular values of (orthonormal basis of rows of h) · (the `leading`
/// eigenvectors of the largest eigenvalues)ᵀ.
std::vector<float> principal_cosines(const std::string& projection, std::span<const float> h,
                                     std::size_t rank, std::span<const float> second_moment, std::size_t n,
                                     std::size_t leading) {
  const auto m = static_cast<lapack_int>(rank);
  const auto size = static_cast<lapack_int>(n);
  const auto directions = static_cast<lapack_int>(leading);

  // Not ssyevd, whose workspace for more than 2,894 neurons is more than a float can say.
  std::vector<float> moment(second_moment.begin(), second_moment.end());
  std::vector<float> eigenvalues(n), last(n * leading);  // column-major [n × leading]
  std::vector<lapack_int> support(2 * leading);
  lapack_int found = 0;
  require_success(
      LAPACKE_ssyevr(LAPACK_COL_MAJOR, 'V', 'I', 'U', size, moment.data(), size, 0, 0, size - directions + 1,
                     size, 0, &found, eigenvalues.data(), last.data(), size, support.data()),
      projection);

  std::vector<float> basis(h.begin(), h.end());  // row-major [rank × n] is column-major [n × rank]
  std::vector<float> tau(rank);
  require_success(LAPACKE_sgeqrf(LAPACK_COL_MAJOR, size, m, basis.data(), size, tau.data()), projection);
  require_success(LAPACKE_sorgqr(LAPACK_COL_MAJOR, size, m, m, basis.data(), size, tau.data()), projection);

  std::vector<float> overlap(rank * leading);
  cblas_sgemm(CblasColMajor, CblasTrans, CblasNoTrans, m, directions, size, 1.0F, basis.data(), size,
              last.data(), size, 0.0F, overlap.data(), m);
  std::vector<float> cosines(std::min(rank, leading));
  require_success(LAPACKE_sgesdd(LAPACK_COL_MAJOR, 'N', m, directions, overlap.data(), m, cosines.data(),
                                 nullptr, 1, nullptr, 1),
                  projection);
  return cosines;
}

}  // namespace

SubspaceQuality measure_subspace(const std::string& projection, std::span<const float> h, std::size_t rank,
                                 std::span<const float> second_moment, std::size_t n) {
  constexpr double undefined = std::numeric_limits<double>::quiet_NaN();
  double energy = 0;
  std::size_t active = 0;  // neurons that have energy
  for (std::size_t i = 0; i < n; ++i) {
    energy += second_moment[i * n + i];
    if (second_moment[i * n + i] > 0) ++active;
  }
  if (rank == 0) {
    return {.orthonormality_error = undefined,
            .largest_eigenvalue = undefined,
            .explained_energy = active == 0 ? undefined : 0,
            .mean_angle = undefined,
            .largest_angle = undefined};
  }
  if (!std::ranges::all_of(second_moment, [](float value) { return std::isfinite(value); }))
    require_success(1, projection);
  const auto m = static_cast<int>(rank);
  const auto size = static_cast<int>(n);
  SubspaceQuality quality;

  std::vector<float> gram(rank * rank);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, m, size, 1.0F, h.data(), size, h.data(), size, 0.0F,
              gram.data(), m);
  // ‖x hᵀ h‖² = trace(g · h c hᵀ) with g = h hᵀ and c = xᵀ x.
  std::vector<float> mapped(rank * n);
  std::vector<float> moment(rank * rank);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, size, size, 1.0F, h.data(), size,
              second_moment.data(), size, 0.0F, mapped.data(), size);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, m, size, 1.0F, mapped.data(), size, h.data(), size,
              0.0F, moment.data(), m);
  double explained = 0;
  double error = 0;
  for (std::size_t i = 0; i < gram.size(); ++i) {
    explained += static_cast<double>(gram[i]) * moment[i];
    const double deviation = gram[i] - (i % (rank + 1) == 0 ? 1.0 : 0.0);
    error += deviation * deviation;
  }
  quality.orthonormality_error = std::sqrt(error);
  quality.largest_eigenvalue = largest_eigenvalue(projection, std::move(gram), rank);
  if (active == 0) {
    quality.explained_energy = quality.mean_angle = quality.largest_angle = undefined;
    return quality;
  }

  quality.explained_energy = explained / energy;
  const std::vector<float> cosines =
      principal_cosines(projection, h, rank, second_moment, n, std::min(rank, active));
  for (const float cosine : cosines) {
    const double angle =
        std::acos(std::clamp(static_cast<double>(cosine), 0.0, 1.0)) * 180.0 / std::numbers::pi;
    quality.mean_angle += angle / static_cast<double>(cosines.size());
    quality.largest_angle = std::max(quality.largest_angle, angle);
  }
  return quality;
}

}  // namespace orthospike
