#pragma once

#include <cstdint>
#include <vector>

namespace orthospike {

/// What AddPoisson (synapses.hpp) finds numbers of that mean by: 2³² · P(number ≤ k), rounded down, for k from 0 on as long as
/// that is below 2³². Throws std::invalid_argument unless the mean is finite and not negative.
std::vector<std::uint32_t> poisson_table(double mean);

}  // namespace orthospike
