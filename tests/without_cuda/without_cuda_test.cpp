// Linked with kernels/cuda/not_compiled.cpp, whatever this build compiles otherwise.

#include <algorithm>

#include "kernels/backend.hpp"
#include "kernels/error.hpp"
#include "tests/catch.hpp"

namespace orthospike::testing {

TEST_CASE("a build without CUDA says so", "[backend]") {
  const std::string sentence =
      "run.device: this build has no CUDA back end; configure with -DORTHOSPIKE_CUDA=ON or use "
      "--run.device=cpu";
  for (const char* name : {"cuda", "cuda:0", "cuda:1"}) {
    INFO(name);
    CHECK_THROWS_AS(make_backend(name, 1), EnvironmentError);
    CHECK_THROWS_WITH(make_backend(name, 1), sentence);
  }
}

TEST_CASE("a build without CUDA does not offer it", "[backend]") {
  CHECK(std::ranges::count(backend_names(), "cuda") == 0);
  bool warned = false;
  CHECK(make_backend("auto", 1, [&](const std::string&) { warned = true; })->name() == "cpu");
  CHECK_FALSE(warned);
}

TEST_CASE("device numbers are checked", "[backend]") {
  for (const char* name : {"cuda:", "cuda:x", "cuda:1x", "cuda:-1", "cuda:99999999999", "cuda0", "Cuda"}) {
    INFO(name);
    CHECK_THROWS_AS(make_backend(name, 1), ConfigError);
  }
}

}  // namespace orthospike::testing
