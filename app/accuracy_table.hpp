#pragma once

#include <string>

#include "learning/metrics.hpp"

namespace orthospike {

/// Rows 0 … last of the accuracy matrix in percent, without those where nothing was evaluated, with the
/// summary of the last row below.
std::string accuracy_table(const AccuracyMatrix& accuracy, std::size_t last);

/// A share as percent with two decimals; "-" for NaN.
std::string percent(double share);

}  // namespace orthospike
