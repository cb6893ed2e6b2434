#include "learning/optimisers/sgd.hpp"

#include <vector>

#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t rows = 9, sources = 35, targets = 67;

/// One step along a gradient, given whole or as traces and postsynaptic factors.
struct Gradient {
  Gradient(Backend& backend, std::uint32_t seed)
      : trace(uploaded(backend, random_values(rows * sources, seed))),
        post(uploaded(backend, random_values(rows * targets, seed + 1))),
        summed(backend.allocate<float>(sources * targets)) {
    backend.multiply(1.0F, trace.matrix(rows, sources), Transpose::yes, post.matrix(rows, targets),
                     Transpose::no, 0.0F, summed.matrix(sources, targets));
  }

  Array<float> trace, post, summed;
};

void step_by_factors(Sgd& sgd, std::size_t parameter, Array<float>& weights, const Gradient& gradient) {
  sgd.step(parameter, weights.matrix(sources, targets), gradient.trace.matrix(rows, sources),
           gradient.post.matrix(rows, targets));
}

std::vector<double> doubles(Backend& backend, const Array<float>& array) {
  const std::vector<float> values = downloaded(backend, array);
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("steps without momentum go down the gradient", "[sgd]") {
  on_each_backend([](Backend& backend) {
    Sgd sgd(backend, 1, {.learning_rate = 0.5F, .momentum = 0.0F});
    auto values = uploaded(backend, std::vector<float>{1, 2, 3});
    const auto gradient = uploaded(backend, std::vector<float>{2, 0, -4});
    sgd.step(0, values.view(), gradient.view());
    CHECK(downloaded(backend, values) == std::vector<float>{0, 2, 5});
    sgd.step(0, values.view(), gradient.view());
    CHECK(downloaded(backend, values) == std::vector<float>{-1, 2, 7});
  });
}

TEST_CASE("steps with momentum follow the velocity", "[sgd]") {
  on_each_backend([](Backend& backend) {
    Sgd sgd(backend, 2, {.learning_rate = 0.5F, .momentum = 0.75F});
    auto values = uploaded(backend, std::vector<float>{0, 0});
    const auto gradient = uploaded(backend, std::vector<float>{2, -4});
    sgd.step(0, values.view(), gradient.view());  // velocity 2, -4
    CHECK(downloaded(backend, values) == std::vector<float>{-1, 2});
    sgd.step(0, values.view(), gradient.view());  // velocity 3.5, -7
    CHECK(downloaded(backend, values) == std::vector<float>{-2.75F, 5.5F});
    const auto none = uploaded(backend, std::vector<float>{0, 0});
    sgd.step(0, values.view(), none.view());  // velocity 2.625, -5.25
    CHECK(downloaded(backend, values) == std::vector<float>{-4.0625F, 8.125F});

    // The other parameter has a velocity of its own.
    auto other = uploaded(backend, std::vector<float>{0, 0});
    sgd.step(1, other.view(), none.view());
    CHECK(downloaded(backend, other) == std::vector<float>{0, 0});
  });
}

TEST_CASE("steps by factors and by their product agree", "[sgd]") {
  on_each_backend([](Backend& backend) {
    for (const float momentum : {0.0F, 0.9F}) {
      INFO("momentum " << momentum);
      Sgd by_factors(backend, 1, {.learning_rate = 0.1F, .momentum = momentum});
      Sgd by_product(backend, 1, {.learning_rate = 0.1F, .momentum = momentum});
      auto factored = uploaded(backend, random_values(sources * targets, 1));
      auto dense = uploaded(backend, random_values(sources * targets, 1));
      for (std::uint32_t batch = 0; batch < 3; ++batch) {
        const Gradient gradient(backend, 10 + 2 * batch);
        step_by_factors(by_factors, 0, factored, gradient);
        by_product.step(0, dense.view(), gradient.summed.view());
        CHECK(difference(doubles(backend, dense), doubles(backend, factored)) < 1e-6);
      }
      CHECK(downloaded(backend, factored) != random_values(sources * targets, 1));
    }
  });
}

TEST_CASE("a task begins without velocity", "[sgd]") {
  on_each_backend([](Backend& backend) {
    Sgd sgd(backend, 2, {.learning_rate = 0.1F, .momentum = 0.9F});
    sgd.begin_task();
    const Gradient earlier(backend, 1), now(backend, 3);
    auto weights = uploaded(backend, std::vector<float>(sources * targets, 0.0F));
    auto values = uploaded(backend, std::vector<float>{0});
    const auto slope = uploaded(backend, std::vector<float>{1});
    step_by_factors(sgd, 0, weights, earlier);
    sgd.step(1, values.view(), slope.view());
    sgd.begin_task();
    backend.clear(weights.view());
    backend.clear(values.view());
    step_by_factors(sgd, 0, weights, now);
    sgd.step(1, values.view(), slope.view());

    Sgd fresh(backend, 2, {.learning_rate = 0.1F, .momentum = 0.9F});
    auto expected = uploaded(backend, std::vector<float>(sources * targets, 0.0F));
    step_by_factors(fresh, 0, expected, now);
    CHECK(downloaded(backend, weights) == downloaded(backend, expected));
    CHECK(downloaded(backend, values) == std::vector<float>{-0.1F});
  });
}

TEST_CASE("sgd is made by name", "[sgd]") {
  const auto backend = make_backend("reference", 1);
  CHECK(dynamic_cast<Sgd*>(optimisers().make("sgd", *backend, 1, {}).get()) != nullptr);
  CHECK_THROWS_AS(optimisers().make("abacus", *backend, 1, {}), ConfigError);
}

}  // namespace orthospike::testing
