#pragma once

// Found before the toolkit's header of the same name: takes the toolkit's types and declarations, which plain
// C++ can read, and adds what only nvcc knows.

#include_next <cuda_runtime.h>

#include "tests/emulation/device.hpp"
