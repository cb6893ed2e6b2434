#include "learning/protections/gpm.hpp"

#include <cmath>

#include "tests/learning/two_projections.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t n = TwoProjections::sizes[0];
constexpr std::size_t batch = TwoProjections::batch;

std::unique_ptr<Gpm> gpm(const TwoProjections& at, float threshold) {
  return std::make_unique<Gpm>(at.context(n), Gpm::Settings{.threshold = {threshold}});
}

/// Part of the energy of x [· × n] that the first `rank` rows h hold.
double held(const std::vector<float>& h, std::size_t rank, const std::vector<float>& x) {
  double inside = 0, all = 0;
  for (std::size_t row = 0; row < x.size() / n; ++row) {
    for (std::size_t k = 0; k < rank; ++k) {
      double response = 0;
      for (std::size_t i = 0; i < n; ++i) response += static_cast<double>(h[k * n + i]) * x[row * n + i];
      inside += response * response;
    }
  }
  for (const float value : x) all += static_cast<double>(value) * value;
  return inside / all;
}

}  // namespace

TEST_CASE("the rows of gpm hold the threshold's part of each task, and no row is in vain", "[gpm]") {
  on_each_backend([](Backend& backend) {
    for (const float threshold : {0.8F, 0.95F, 0.99F}) {
      TwoProjections at(backend);
      const auto protection = gpm(at, threshold);
      std::size_t before = 0;
      for (std::size_t task = 0; task < 2; ++task) {
        INFO("threshold " << threshold << ", task " << task);
        const std::vector<float> x = two_tasks()[task];
        protection->begin_task(task);
        CHECK((protection->presynaptic_operator(0) == nullptr) == (task == 0));
        const auto rows = uploaded(backend, x);
        for (std::size_t row = 0; row < x.size() / n; row += batch)
          protection->observe(0, rows.matrix(x.size() / n, n).row_range(row, batch), {});
        protection->end_task();
        const std::size_t rank = protection->subspace(0)->old_rank();
        const std::vector<float> h = backend.download(protection->subspace(0)->old_rows().values);
        REQUIRE(rank > before);
        CHECK(held(h, rank, x) > threshold - 1e-5);
        CHECK(held(h, rank - 1, x) < threshold + 1e-5);
        CHECK(orthonormality_error(h, n) < 1e-5);
        before = rank;
      }
      CHECK(protection->subspace(1)->rank() == 0);
      CHECK(protection->presynaptic_operator(1) == nullptr);
    }
  });
}

TEST_CASE("the rows of gpm are the leading components of what old rows leave", "[gpm]") {
  const auto backend = make_backend("cpu", 1);
  TwoProjections at(*backend);
  const auto protection = gpm(at, 0.9F);
  // The second task shares one of its axes with the first; the tenth of its energy that may be missing is that of
  // all, the shared axis too.
  const auto on_axes = [](const std::vector<std::pair<std::size_t, float>>& axes) {
    std::vector<float> x(batch * n, 0.0F);
    for (std::size_t k = 0; k < axes.size(); ++k) x[k * n + axes[k].first] = axes[k].second;
    return x;
  };
  learn(*backend, *protection,
        {on_axes({{3, 2.0F}, {7, 1.0F}, {5, 0.2F}}), on_axes({{3, 2.0F}, {9, 1.5F}, {2, 0.6F}})});
  Doubles expected = identity(n);
  for (const std::size_t axis : {3U, 7U, 9U}) expected[axis * n + axis] = 0;
  CHECK(difference(expected, at.matrix_of(*protection->presynaptic_operator(0), n)) < 1e-6);
}

TEST_CASE("with threshold 1 gpm stops at as many rows as there are neurons", "[gpm]") {
  const auto backend = make_backend("cpu", 1);
  TwoProjections at(*backend);
  const auto protection = gpm(at, 1.0F);
  learn(*backend, *protection, {two_tasks()[0], two_tasks()[1], two_tasks()[0]});
  CHECK(protection->subspace(0)->rank() <= n);
  CHECK(protection->subspace(0)->rank() >= n - 1);
}

}  // namespace orthospike::testing
