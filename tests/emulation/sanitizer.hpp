#pragma once

// The address sanitizer's interface; nothing in a build without it. A source that is not itself instrumented in
// a build that is has the macro from its command line.

#if defined(ORTHOSPIKE_ADDRESS_SANITIZER)
#elif defined(__SANITIZE_ADDRESS__)
#define ORTHOSPIKE_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ORTHOSPIKE_ADDRESS_SANITIZER 1
#endif
#endif

#ifdef ORTHOSPIKE_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace orthospike::emulation {

#ifdef ORTHOSPIKE_ADDRESS_SANITIZER
inline constexpr bool has_address_sanitizer = true;
#else
inline constexpr bool has_address_sanitizer = false;
#endif

}  // namespace orthospike::emulation
