#pragma once

// Read once for all test programs. Headers of the project are not among them: a change of one would compile every
// test anew.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "tests/catch.hpp"
