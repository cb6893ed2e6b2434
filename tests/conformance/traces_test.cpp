#include <vector>

#include "kernels/traces.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

struct Shape {
  std::size_t batch, n, steps;
};

const Shape shapes[] = {{1, 1, 1}, {3, 131, 6}, {67, 131, 20}, {2, 1100, 9}, {0, 5, 3}};

}  // namespace

TEST_CASE("traces and sums over steps agree with the reference", "[conformance][traces]") {
  for (const Shape& s : shapes) {
    INFO(s.batch << " samples of " << s.n << ", " << s.steps << " steps");
    const std::size_t rows = s.steps * s.batch;
    const std::vector<float> values = random_values(rows * s.n, 1);
    for (const float decay : {0.0F, 0.5F, 1.0F}) {
      check_conformance([&](Backend& backend) {
        auto forward = uploaded(backend, values);
        auto backward = uploaded(backend, values);
        auto last = uploaded(backend, random_values(s.batch * s.n, 2));
        auto sum = uploaded(backend, std::vector<float>(s.batch * s.n, not_a_number));
        const auto x = uploaded(backend, values);
        backend.traces().run(Filter{.decay = decay,
                                    .steps = s.steps,
                                    .x = forward.matrix(rows, s.n),
                                    .last = last.matrix(s.batch, s.n)});
        backend.traces().run(FilterBack{.decay = decay, .steps = s.steps, .x = backward.matrix(rows, s.n)});
        backend.traces().run(SumSteps{.scale = 0.25F,
                                      .decay = decay,
                                      .steps = s.steps,
                                      .x = x.matrix(rows, s.n),
                                      .sum = sum.matrix(s.batch, s.n)});
        return Outcome{{"filtered", about(downloaded(backend, forward), 1e-6)},
                       {"last", about(downloaded(backend, last), 1e-6)},
                       {"filtered back", about(downloaded(backend, backward), 1e-6)},
                       {"sum", about(downloaded(backend, sum), 1e-6)}};
      });
    }
  }
}

TEST_CASE("traces follow their equations", "[conformance][traces]") {
  on_each_backend([](Backend& backend) {
    auto x = uploaded(backend, std::vector<float>{1, 0, 4});
    auto last = uploaded(backend, std::vector<float>{8});
    backend.traces().run(Filter{.decay = 0.5F, .steps = 3, .x = x.matrix(3, 1), .last = last.matrix(1, 1)});
    CHECK(downloaded(backend, x) == std::vector<float>{5, 2.5F, 5.25F});
    CHECK(downloaded(backend, last) == std::vector<float>{5.25F});
    auto y = uploaded(backend, std::vector<float>{1, 0, 4});
    backend.traces().run(FilterBack{.decay = 0.5F, .steps = 3, .x = y.matrix(3, 1)});
    CHECK(downloaded(backend, y) == std::vector<float>{2, 2, 4});
    auto sum = backend.allocate<float>(1);
    const auto z = uploaded(backend, std::vector<float>{1, 2, 4});
    backend.traces().run(
        SumSteps{.scale = 2.0F, .decay = 0.5F, .steps = 3, .x = z.matrix(3, 1), .sum = sum.matrix(1, 1)});
    CHECK(downloaded(backend, sum) == std::vector<float>{2 * (1 + 2 * 1.5F + 4 * 1.75F)});
  });
}

}  // namespace orthospike::testing
