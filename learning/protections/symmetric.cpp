#include "learning/protections/symmetric.hpp"

#include <lapacke.h>

#include <algorithm>
#include <cmath>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

void require_success(bool success) {
  if (!success)
    throw EnvironmentError("the activity of a task cannot be factorised: its numbers are not finite");
}

void require_finite(const std::vector<double>& matrix) {
  require_success(std::ranges::all_of(matrix, [](double value) { return std::isfinite(value); }));
}

}  // namespace

std::vector<double> damped_inverse(std::vector<double> moment, double lambda, std::size_t n) {
  require_finite(moment);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) moment[i * n + j] = moment[i * n + j] / lambda + (i == j ? 1.0 : 0.0);
  }
  const auto size = static_cast<lapack_int>(n);
  require_success(LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'U', size, moment.data(), size) == 0);
  require_success(LAPACKE_dpotri(LAPACK_COL_MAJOR, 'U', size, moment.data(), size) == 0);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < i; ++j) moment[j * n + i] = moment[i * n + j];
  }
  return moment;
}

Eigensystem eigensystem(std::vector<double> matrix, std::size_t n) {
  require_finite(matrix);
  const auto size = static_cast<lapack_int>(n);
  std::vector<double> values(n);
  require_success(LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', size, matrix.data(), size, values.data()) == 0);
  // Ascending, a vector a column of a column-major matrix, which is a row here.
  std::vector<double> vectors(matrix.size());
  for (std::size_t i = 0; i < n; ++i)
    std::copy_n(matrix.begin() + static_cast<std::ptrdiff_t>(i * n), n,
                vectors.begin() + static_cast<std::ptrdiff_t>((n - 1 - i) * n));
  std::ranges::reverse(values);
  return {std::move(values), std::move(vectors)};
}

std::vector<double> eigenvalues(std::vector<double> matrix, std::size_t n) {
  require_finite(matrix);
  const auto size = static_cast<lapack_int>(n);
  std::vector<double> values(n);
  require_success(LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'N', 'U', size, matrix.data(), size, values.data()) == 0);
  std::ranges::reverse(values);
  return values;
}

double trace(const std::vector<double>& matrix, std::size_t n) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += matrix[i * n + i];
  return sum;
}

}  // namespace orthospike
