#include "learning/optimisers/sgd.hpp"

#include <vector>

#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t rows = 9, sources = 35, targets = 67;
constexpr float rate = 0.1F;

/// One step along a gradient, given whole or as traces and postsynaptic factors.
struct Gradient {
  Gradient(Backend& backend, std::uint32_t seed)
      : trace(uploaded(backend, random_values(rows * sources, seed))),
        post(uploaded(backend, random_values(rows * targets, seed + 1))),
        summed(backend.allocate<float>(sources * targets)) {
    backend.dense().run(Multiply{.a = trace.matrix(rows, sources),
                                 .transpose_a = true,
                                 .b = post.matrix(rows, targets),
                                 .c = summed.matrix(sources, targets)});
  }

  Array<float> trace, post, summed;
};

void step_by_factors(Sgd& sgd, std::size_t parameter, Array<float>& weights, const Gradient& gradient) {
  REQUIRE(sgd.linear_steps() != nullptr);
  sgd.linear_steps()->step(parameter, rate, gradient.trace.matrix(rows, sources),
                           gradient.post.matrix(rows, targets), weights.matrix(sources, targets));
}

/// The direction that sgd makes of a gradient at some weights.
std::vector<float> direction(Backend& backend, Sgd& sgd, std::size_t parameter,
                             const std::vector<float>& weights, const std::vector<float>& gradient) {
  const auto at = uploaded(backend, weights);
  auto values = uploaded(backend, gradient);
  sgd.find_direction(parameter, at.view(), values.view());
  return downloaded(backend, values);
}

std::vector<double> doubles(Backend& backend, const Array<float>& array) {
  const std::vector<float> values = downloaded(backend, array);
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("without momentum the direction is the gradient", "[sgd]") {
  on_each_backend([](Backend& backend) {
    Sgd sgd(backend, 1, {});
    for (int update = 0; update < 2; ++update) {
      CHECK(direction(backend, sgd, 0, {1, 2, 3}, {2, 0, -4}) == std::vector<float>{2, 0, -4});
    }
  });
}

TEST_CASE("with momentum the direction is the velocity", "[sgd]") {
  on_each_backend([](Backend& backend) {
    Sgd sgd(backend, 2, {.momentum = 0.75F});
    CHECK(direction(backend, sgd, 0, {1, 1}, {2, -4}) == std::vector<float>{2, -4});
    CHECK(direction(backend, sgd, 0, {1, 1}, {2, -4}) == std::vector<float>{3.5F, -7});
    CHECK(direction(backend, sgd, 0, {1, 1}, {0, 0}) == std::vector<float>{2.625F, -5.25F});
    // The other parameter has a velocity of its own.
    CHECK(direction(backend, sgd, 1, {1, 1}, {0, 0}) == std::vector<float>{0, 0});
  });
}

TEST_CASE("weight decay is a gradient towards zero", "[sgd]") {
  on_each_backend([](Backend& backend) {
    Sgd plain(backend, 1, {.weight_decay = 0.5F});
    CHECK(plain.linear_steps() == nullptr);
    CHECK(direction(backend, plain, 0, {4, -6}, {1, 0}) == std::vector<float>{3, -3});
    Sgd with_momentum(backend, 1, {.momentum = 0.75F, .weight_decay = 0.5F});
    CHECK(direction(backend, with_momentum, 0, {4, -6}, {1, 0}) == std::vector<float>{3, -3});
    CHECK(direction(backend, with_momentum, 0, {0, 2}, {0, 0}) == std::vector<float>{2.25F, -1.25F});
  });
}

TEST_CASE("steps by factors and along the direction of their product agree", "[sgd]") {
  on_each_backend([](Backend& backend) {
    for (const float momentum : {0.0F, 0.9F}) {
      INFO("momentum " << momentum);
      Sgd by_factors(backend, 1, {.momentum = momentum});
      Sgd by_product(backend, 1, {.momentum = momentum});
      auto factored = uploaded(backend, random_values(sources * targets, 1));
      auto dense = uploaded(backend, random_values(sources * targets, 1));
      for (std::uint32_t batch = 0; batch < 3; ++batch) {
        Gradient gradient(backend, 10 + 2 * batch);
        step_by_factors(by_factors, 0, factored, gradient);
        by_product.find_direction(0, dense.view(), gradient.summed.view());
        backend.elementwise().run(Add{.alpha = -rate, .x = gradient.summed.view(), .y = dense.view()});
        CHECK(difference(doubles(backend, dense), doubles(backend, factored)) < 1e-6);
      }
      CHECK(downloaded(backend, factored) != random_values(sources * targets, 1));
    }
  });
}

TEST_CASE("a task begins without velocity", "[sgd]") {
  on_each_backend([](Backend& backend) {
    Sgd sgd(backend, 1, {.momentum = 0.9F});
    sgd.begin_task();
    const Gradient earlier(backend, 1), now(backend, 3);
    auto weights = backend.allocate<float>(sources * targets);
    step_by_factors(sgd, 0, weights, earlier);
    sgd.begin_task();
    backend.clear(weights.view());
    step_by_factors(sgd, 0, weights, now);

    Sgd fresh(backend, 1, {.momentum = 0.9F});
    auto expected = backend.allocate<float>(sources * targets);
    step_by_factors(fresh, 0, expected, now);
    CHECK(downloaded(backend, weights) == downloaded(backend, expected));
  });
}

TEST_CASE("sgd is made by name", "[sgd]") {
  const auto backend = make_backend("reference", 1);
  CHECK(dynamic_cast<Sgd*>(optimisers().make("sgd", *backend, 1).get()) != nullptr);
  CHECK_THROWS_AS(optimisers().make("abacus", *backend, 1), ConfigError);
}

}  // namespace orthospike::testing
