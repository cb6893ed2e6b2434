#include "learning/protections/owm.hpp"

#include "tests/learning/two_projections.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t n = TwoProjections::sizes[0];
constexpr std::size_t batch = TwoProjections::batch;

/// The published recursion over the batches of all tasks, from P = I.
Doubles recursive_least_squares(const std::vector<std::vector<float>>& tasks, double alpha) {
  Doubles p = identity(n);
  for (const std::vector<float>& x : tasks) {
    for (std::size_t first = 0; first < x.size(); first += batch * n) {
      Doubles mean(n, 0.0), moved(n, 0.0);
      for (std::size_t i = 0; i < batch * n; ++i) mean[i % n] += static_cast<double>(x[first + i]) / batch;
      double scale = alpha;
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) moved[i] += p[i * n + j] * mean[j];
        scale += moved[i] * mean[i];
      }
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) p[i * n + j] -= moved[i] * moved[j] / scale;
      }
    }
  }
  return p;
}

}  // namespace

TEST_CASE("owm's operator is that of the recursion over all batches of earlier tasks", "[owm]") {
  on_each_backend([](Backend& backend) {
    for (const float alpha : {0.01F, 1.0F}) {
      TwoProjections at(backend);
      Owm owm(at.context(n), {.alpha = alpha});
      owm.begin_task(0);
      CHECK(owm.presynaptic_operator(0) == nullptr);
      learn(backend, owm, two_tasks());
      const Doubles expected = recursive_least_squares(two_tasks(), alpha);
      CHECK(difference(expected, at.matrix_of(*owm.presynaptic_operator(0), n)) < 1e-5);
      double left = 0;
      for (std::size_t i = 0; i < n; ++i) left += expected[i * n + i];
      CHECK(owm.effective_rank(0) == Approx(n - left));
      // The task that goes on changes nothing.
      const auto x = uploaded(backend, uneven_activity(batch, n, 9));
      owm.observe(0, x.matrix(batch, n), {});
      CHECK(difference(expected, at.matrix_of(*owm.presynaptic_operator(0), n)) < 1e-5);
    }
  });
}

}  // namespace orthospike::testing
