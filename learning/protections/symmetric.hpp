#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace orthospike {

/// Factorisations of symmetric matrices on the host, row-major [n × n], in double precision: a network's
/// activity has eigenvalues many orders of magnitude apart. Only one triangle is read. All throw
/// EnvironmentError when the numbers are not finite, which says that they are of activity that `reader` sees: a
/// projection.

/// (I + moment / lambda)^-1 of a positive semi-definite moment; exactly symmetric. lambda > 0.
std::vector<double> damped_inverse(const std::string& reader, std::vector<double> moment, double lambda,
                                   std::size_t n);

struct Eigensystem {
  std::vector<double> values;   ///< [n] descending
  std::vector<double> vectors;  ///< [n × n], one a row
};
Eigensystem eigensystem(const std::string& reader, std::vector<double> matrix, std::size_t n);

/// [n] descending.
std::vector<double> eigenvalues(const std::string& reader, std::vector<double> matrix, std::size_t n);

double trace(const std::vector<double>& matrix, std::size_t n);

}  // namespace orthospike
