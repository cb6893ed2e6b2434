#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "learning/metrics.hpp"
#include "learning/run_file.hpp"

namespace orthospike {

/// Rows 0 … last of the accuracy matrix in percent, without those where nothing was evaluated, with the summary of the
/// last row below, and whether tasks are told at test time; `tasks` is empty where that is not known.
std::string accuracy_table(const AccuracyMatrix& accuracy, const std::vector<TaskDescription>& tasks,
                           std::size_t last);

/// A line that says whether the network is told at test time which task a sample is of.
std::string told_or_not(bool told);

/// `value` as `format` has it; "-" for NaN: what is not measured, or not defined.
std::string number(double value, fmt::format_string<double&> format);

/// A share as percent with two decimals, a NaN as by `number`.
std::string percent(double share);

}  // namespace orthospike
