#include <vector>

#include "kernels/random_numbers.hpp"
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
      backend.random_numbers().run(
          FillUniform{.values = uniform.view(), .low = -0.125F, .high = 0.125F, .key = key});
      backend.random_numbers().run(FillNormal{.values = normal.view(), .key = key});
      return Outcome{{"uniform", exactly(downloaded(backend, uniform))},
                     {"normal", about(downloaded(backend, normal), 2e-6)}};
    });
  }
}

}  // namespace orthospike::testing
