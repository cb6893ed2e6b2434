#include "learning/protections/symmetric.hpp"

#include <fmt/format.h>
#include <lapacke.h>

#include <algorithm>
#include <cmath>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

void require_success(bool success, const std::string& reader) {
  if (success) return;
  throw EnvironmentError(
      fmt::format("the activity that {} sees cannot be factorised: its energy is not finite", reader));
}

/// From values that ascend and their vectors, each a column of a column-major matrix, which is a row here.
Eigensystem descending(std::vector<double> values, const std::vector<double>& ascending) {
  std::vector<double> vectors(ascending.size());
  const std::size_t count = values.size(), n = ascending.size() / count;
  for (std::size_t i = 0; i < count; ++i)
    std::copy_n(ascending.begin() + static_cast<std::ptrdiff_t>(i * n), n,
                vectors.begin() + static_cast<std::ptrdiff_t>((count - 1 - i) * n));
  std::ranges::reverse(values);
  return {std::move(values), std::move(vectors)};
}

}  // namespace

void require_finite(const std::vector<double>& matrix, const std::string& reader) {
  require_success(std::ranges::all_of(matrix, [](double value) { return std::isfinite(value); }), reader);
}

std::vector<double> damped_inverse(const std::string& reader, std::vector<double> moment, double lambda,
                                   std::size_t n) {
  require_finite(moment, reader);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) moment[i * n + j] = moment[i * n + j] / lambda + (i == j ? 1.0 : 0.0);
  }
  const auto size = static_cast<lapack_int>(n);
  require_success(LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'U', size, moment.data(), size) == 0, reader);
  require_success(LAPACKE_dpotri(LAPACK_COL_MAJOR, 'U', size, moment.data(), size) == 0, reader);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < i; ++j) moment[j * n + i] = moment[i * n + j];
  }
  return moment;
}

Eigensystem eigensystem(const std::string& reader, std::vector<double> matrix, std::size_t n) {
  require_finite(matrix, reader);
  const auto size = static_cast<lapack_int>(n);
  std::vector<double> values(n);
  require_success(LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', size, matrix.data(), size, values.data()) == 0,
                  reader);
  return descending(std::move(values), matrix);
}

Eigensystem leading_eigensystem(const std::string& reader, std::vector<double> matrix, std::size_t n,
                                std::size_t count) {
  require_finite(matrix, reader);
  const auto size = static_cast<lapack_int>(n);
  std::vector<double> values(n), ascending(count * n);
  std::vector<lapack_int> support(2 * count);
  lapack_int found = 0;
  require_success(LAPACKE_dsyevr(LAPACK_COL_MAJOR, 'V', 'I', 'U', size, matrix.data(), size, 0, 0,
                                 size - static_cast<lapack_int>(count) + 1, size, 0, &found, values.data(),
                                 ascending.data(), size, support.data()) == 0,
                  reader);
  values.resize(count);
  return descending(std::move(values), ascending);
}

std::vector<double> eigenvalues(const std::string& reader, std::vector<double> matrix, std::size_t n) {
  require_finite(matrix, reader);
  const auto size = static_cast<lapack_int>(n);
  std::vector<double> values(n);
  require_success(LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'N', 'U', size, matrix.data(), size, values.data()) == 0,
                  reader);
  std::ranges::reverse(values);
  return values;
}

double trace(const std::vector<double>& matrix, std::size_t n) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += matrix[i * n + i];
  return sum;
}

}  // namespace orthospike
