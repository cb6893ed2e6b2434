#pragma once

#include <fmt/format.h>

#include <string>

#include "learning/metrics.hpp"

namespace orthospike {

/// Rows 0 … last of the accuracy matrix in percent, without those where nothing was evaluated, with the
/// summary of the last row below.
std::string accuracy_table(const AccuracyMatrix& accuracy, std::size_t last);

/// `value` as `format` has it; "-" for NaN: what is not measured, or not defined.
std::string number(double value, fmt::format_string<double&> format);

/// A share as percent with two decimals, a NaN as by `number`.
std::string percent(double share);

}  // namespace orthospike
