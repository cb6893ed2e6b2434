#include <vector>

#include "kernels/optimisers.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {

TEST_CASE("adam_step agrees with the reference", "[conformance][adam]") {
  for (const std::size_t size : {0U, 1U, 67U, 50021U}) {
    INFO(size << " elements");
    check_conformance([&](Backend& backend) {
      const auto step = [&](Array<float>& mean, Array<float>& square, Array<float>& gradient) {
        backend.optimisers().run(AdamStep{.beta1 = 0.8F,
                                          .beta2 = 0.95F,
                                          .epsilon = 0.01F,
                                          .mean_correction = 1.5F,
                                          .square_correction = 3.0F,
                                          .mean = mean.view(),
                                          .square = square.view(),
                                          .gradient = gradient.view()});
      };
      auto mean = uploaded(backend, random_values(size, 1));
      auto square = uploaded(backend, random_values(size, 2, 0.0F, 0.5F));
      // What has no gradient and no history stays where it is.
      std::vector<float> gradients = random_values(size, 3);
      if (size > 1) gradients[0] = gradients[size - 1] = 0;
      auto gradient = uploaded(backend, gradients);
      auto at_rest = backend.allocate<float>(size), none = backend.allocate<float>(size);
      auto no_gradient = backend.allocate<float>(size);
      step(mean, square, gradient);
      step(at_rest, none, no_gradient);
      return Outcome{{"mean", about(downloaded(backend, mean), 1e-6)},
                     {"square", about(downloaded(backend, square), 1e-6)},
                     {"direction", about(downloaded(backend, gradient), 1e-6)},
                     {"at rest", exactly(downloaded(backend, no_gradient))}};
    });
  }
}

}  // namespace orthospike::testing
