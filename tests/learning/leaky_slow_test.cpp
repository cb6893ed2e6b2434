#include "learning/protections/leaky_slow.hpp"

#include <algorithm>

#include "learning/protections/leaky.hpp"
#include "tests/learning/two_projections.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t n = TwoProjections::sizes[0];
constexpr std::size_t batch = TwoProjections::batch;
const LeakySettings usual{.lambda = 0.3F,
                          .consolidation = LeakySettings::Consolidation::slow,
                          .fast_updates = 3,
                          .slow_updates = 8,
                          .refresh = 2};

std::unique_ptr<LeakySlow> leaky_slow(const TwoProjections& at, const LeakySettings& settings) {
  return std::make_unique<LeakySlow>(at.context(), settings);
}

void observe(Backend& backend, LeakySlow& protection, const std::vector<float>& x) {
  protection.observe(0, uploaded(backend, x).matrix(batch, n), {});
}

double scale_of(const Doubles& moment) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += moment[i * n + i];
  return n / sum;
}

}  // namespace

TEST_CASE("the slow operator is the inverse of 1 + C_slow / lambda, as its equations say", "[leaky]") {
  on_each_backend([](Backend& backend) {
    TwoProjections at(backend);
    const auto protection = leaky_slow(at, usual);
    Doubles fast(n * n, 0.0), slow = identity(n);  // slow: with 1 / lambda and the identity
    for (std::uint32_t t = 1; t <= 7; ++t) {
      CHECK((protection->presynaptic_operator(0) == nullptr) == (t <= usual.refresh));
      const std::vector<float> x = uneven_activity(batch, n, t);
      observe(backend, *protection, x);
      const double rate = 1.0 / std::min<std::size_t>(t, usual.fast_updates);
      for (double& value : fast) value *= 1 - rate;
      add_moment(x, n, rate / batch, fast);
      if (t % usual.refresh != 0) continue;
      for (std::size_t i = 0; i < n * n; ++i)
        slow[i] += static_cast<double>(usual.refresh) / static_cast<double>(usual.slow_updates) *
                   scale_of(fast) * fast[i] / usual.lambda;
    }
    const Doubles matrix = at.matrix_of(*protection->presynaptic_operator(0), n);
    CHECK(difference(identity(n), product(matrix, slow, n)) < 1e-4);
    double left = 0;
    for (std::size_t i = 0; i < n; ++i) left += matrix[i * n + i];
    CHECK(protection->effective_rank(0) == Approx(n - left).epsilon(1e-4));
    // What was not observed is not protected.
    CHECK(protection->presynaptic_operator(1) == nullptr);
    CHECK(protection->effective_rank(1) == 0);
  });
}

TEST_CASE("over `slow` batches of a task slow consolidation comes to protect as a finished task does",
          "[leaky]") {
  const auto backend = make_backend("cpu", 1);
  TwoProjections at(*backend);
  const auto slow = leaky_slow(at, usual);
  Leaky boundaries(at.context(), LeakySettings{.lambda = usual.lambda});
  const std::vector<float> x = uneven_activity(batch, n, 1);
  boundaries.begin_task(0);
  for (std::size_t t = 0; t < usual.slow_updates; ++t) {
    observe(*backend, *slow, x);
    boundaries.observe(0, uploaded(*backend, x).matrix(batch, n), {});
  }
  boundaries.end_task();
  boundaries.begin_task(1);
  CHECK(difference(at.matrix_of(*slow->presynaptic_operator(0), n),
                   at.matrix_of(*boundaries.presynaptic_operator(0), n)) < 1e-6);
}

TEST_CASE("a silent source does not become slow, activity that is not finite is refused", "[leaky]") {
  const auto backend = make_backend("cpu", 1);
  TwoProjections at(*backend);
  const auto protection = leaky_slow(at, usual);
  for (std::size_t t = 0; t < usual.refresh; ++t)
    observe(*backend, *protection, std::vector<float>(batch * n, 0.0F));
  CHECK(at.matrix_of(*protection->presynaptic_operator(0), n) == identity(n));
  observe(*backend, *protection, std::vector<float>(batch * n, not_a_number));
  CHECK_THROWS_AS(observe(*backend, *protection, uneven_activity(batch, n, 1)), EnvironmentError);
}

}  // namespace orthospike::testing
