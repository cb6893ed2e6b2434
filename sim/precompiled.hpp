#pragma once

// What nearly every file reads, read once for each library of the project. Headers of the project are not among them: a
// change of one would compile everything anew. A file includes what it needs all the same, for builds without it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <any>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>
