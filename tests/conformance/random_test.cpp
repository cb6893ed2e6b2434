#include <vector>

#include "tests/conformance/backends.hpp"

namespace orthospike::testing {

TEST_CASE("random numbers agree with the reference", "[conformance][random]") {
  // Parts of blocks, and more than one piece of work.
  for (const std::size_t size : {0U, 1U, 2U, 3U, 5U, 67U, 50021U}) {
    INFO(size << " numbers");
    check_conformance([&](Backend& backend) {
      const RandomKey key{0x123456789abcdefULL, RandomPurpose::subspace, 3};
      Array<float> uniform = backend.allocate<float>(size);
      Array<float> normal = backend.allocate<float>(size);
      backend.fill_uniform(uniform.view(), -0.125F, 0.125F, key);
      backend.fill_normal(normal.view(), key);
      return Outcome{{"uniform", exactly(downloaded(backend, uniform))},
                     {"normal", about(downloaded(backend, normal), 2e-6)}};
    });
  }
}

}  // namespace orthospike::testing
