#pragma once

#include <thrust/system/cpp/execution_policy.h>

#include "tests/emulation/memory.hpp"

namespace orthospike::emulation {

/// Runs Thrust's algorithms on the host, at once, and lets them at the device's memory while it lives, which
/// is as long as the call it is an argument of.
struct DevicePolicy : thrust::cpp::execution_policy<DevicePolicy> {
  DeviceScope scope;
};

/// Host code may no longer touch device memory in a program where all that should be let at it can ask.
inline const bool device_memory_is_closed = close_device_memory();

}  // namespace orthospike::emulation
