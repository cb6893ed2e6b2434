#pragma once

// Tests include this one and use only what Catch2 2.13 and 3 share.
#if __has_include(<catch2/catch.hpp>)
#include <catch2/catch.hpp>
#else
#include <catch2/catch_all.hpp>
// Version 2 has this name outside namespace Catch already.
using Catch::Approx;
#endif
