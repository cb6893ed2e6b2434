#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace orthospike {

/// Factorisations of symmetric matrices on the host, row-major [n × n], in double precision: a network's
/// activity has eigenvalues many orders of magnitude apart. Only the lower triangle is read. All throw
/// EnvironmentError when the numbers are not finite, which says that they are of activity that `reader` sees: a
/// projection.

void require_finite(const std::vector<double>& matrix, const std::string& reader);

/// (I + moment / lambda)^-1 of a positive semi-definite moment; exactly symmetric. lambda > 0.
std::vector<double> damped_inverse(const std::string& reader, std::vector<double> moment, double lambda,
                                   std::size_t n);

struct Eigensystem {
  std::vector<double> values;   ///< [count] descending
  std::vector<double> vectors;  ///< [count × n], one a row
};
/// All n.
Eigensystem eigensystem(const std::string& reader, std::vector<double> matrix, std::size_t n);
/// The `count` of the largest values, 1 … n.
Eigensystem leading_eigensystem(const std::string& reader, std::vector<double> matrix, std::size_t n,
                                std::size_t count);

/// [n] descending.
std::vector<double> eigenvalues(const std::string& reader, std::vector<double> matrix, std::size_t n);

double trace(const std::vector<double>& matrix, std::size_t n);

}  // namespace orthospike
