#pragma once

// Read once for all test programs.
#include <random>
#include <set>

#include "sim/precompiled.hpp"
#include "tests/catch.hpp"
