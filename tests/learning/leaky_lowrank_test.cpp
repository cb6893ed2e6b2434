#include "learning/protections/leaky_lowrank.hpp"

#include <cmath>

#include "tests/learning/two_projections.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t n = TwoProjections::sizes[0];
constexpr std::size_t batch = TwoProjections::batch;

using Tasks = std::vector<std::vector<float>>;

std::unique_ptr<LeakyLowrank> lowrank(const TwoProjections& at, LeakyLowrank::Settings settings,
                                      float hebbian_rate = 0.1F) {
  settings.learning.learning_rate = {hebbian_rate};
  return std::make_unique<LeakyLowrank>(at.context(n, 1), settings);
}

/// Shows both projections the batches of a task, whole batches of rows [· × n] and [· × sizes[1]].
void show(Backend& backend, Protection& protection, std::size_t task, const std::vector<float>& first,
          const std::vector<float>& second) {
  protection.begin_task(task);
  const std::size_t rows = first.size() / n;
  const auto x = uploaded(backend, first), y = uploaded(backend, second);
  for (std::size_t row = 0; row < rows; row += batch) {
    protection.observe(0, x.matrix(rows, n).row_range(row, batch), {});
    protection.observe(1, y.matrix(rows, TwoProjections::sizes[1]).row_range(row, batch), {});
  }
  protection.end_task();
}

/// Rows along the first `axes` axes, one after the other, each with `ratio` times the energy of the one before.
std::vector<float> on_axes(std::size_t rows, std::size_t size, std::size_t axes, float ratio) {
  std::vector<float> x(rows * size, 0.0F);
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t axis = row % axes;
    x[row * size + axis] = 3 * std::pow(ratio, 0.5F * static_cast<float>(axis));
  }
  return x;
}

std::vector<float> silence(const std::vector<float>& first) {
  return std::vector<float>(first.size() / n * TwoProjections::sizes[1], 0.0F);
}

std::vector<float> rows_from(const std::vector<float>& x, std::size_t row) {
  return {x.begin() + static_cast<std::ptrdiff_t>(row * n), x.end()};
}

}  // namespace

TEST_CASE("with as many lateral neurons as presynaptic ones the low-rank form is the exact one", "[leaky]") {
  on_each_backend([](Backend& backend) {
    constexpr float lambda = 0.1F;
    TwoProjections at(backend);
    const auto protection = lowrank(
        at,
        {.lambda = lambda, .learning = {}, .neurons = n, .unexplained = 0, .growth = n, .growth_batches = 1});
    // All neurons come after the first batch, which none therefore responds to.
    const Tasks tasks = two_tasks();
    Doubles inverse = identity(n);
    for (std::size_t task = 0; task < 2; ++task) {
      show(backend, *protection, task, tasks[task], silence(tasks[task]));
      std::vector<float> seen = rows_from(tasks[task], task == 0 ? batch : 0);
      // Later batches count more.
      for (std::size_t i = 0; i < seen.size(); ++i)
        seen[i] *= std::sqrt(1 + static_cast<float>(i / (batch * n)));
      double energy = 0;
      for (const float value : seen) energy += static_cast<double>(value) * value;
      add_moment(seen, n, n / energy / lambda, inverse);
    }
    protection->begin_task(2);
    const Doubles matrix = at.matrix_of(*protection->presynaptic_operator(0), n);
    CHECK(difference(identity(n), product(matrix, inverse, n)) < 1e-3);
    double left = 0;
    for (std::size_t i = 0; i < n; ++i) left += matrix[i * n + i];
    CHECK(protection->effective_rank(0) == Approx(n - left).epsilon(1e-4));
    CHECK(protection->presynaptic_operator(1) == nullptr);
    CHECK(protection->effective_rank(1) == 0);
  });
}

TEST_CASE("few lateral neurons find the directions in use and weaken each by its energy", "[leaky]") {
  on_each_backend([](Backend& backend) {
    constexpr float lambda = 2;
    constexpr std::size_t axes = 4;
    TwoProjections at(backend);
    const auto protection = lowrank(at, {.lambda = lambda,
                                         .learning = {},
                                         .neurons = axes,
                                         .unexplained = 0.01F,
                                         .growth = axes,
                                         .growth_batches = 500});
    const std::vector<float> x = on_axes(400 * batch, n, axes, 0.5F);
    show(backend, *protection, 0, x, silence(x));
    protection->begin_task(1);
    Doubles expected = identity(n);
    for (std::size_t k = 0; k < axes; ++k) {
      const double energy = n * std::pow(0.5, static_cast<double>(k)) / 1.875;
      expected[k * n + k] = 1 / (1 + energy / lambda);
    }
    CHECK(difference(expected, at.matrix_of(*protection->presynaptic_operator(0), n)) < 0.02);
  });
}

TEST_CASE("over an even rest few lateral neurons make the exact form, also those that come later",
          "[leaky]") {
  on_each_backend([](Backend& backend) {
    constexpr float lambda = 20;
    TwoProjections at(backend);
    const auto protection = lowrank(at,
                                    {.lambda = lambda,
                                     .learning = {},
                                     .neurons = 3,
                                     .unexplained = 0.7F,
                                     .growth = 2,
                                     .growth_batches = 500},
                                    0.002F);
    // Two strong axes over others alike in each of five tasks, a third one alone in the sixth.
    std::vector<float> even = random_values(400 * batch * n, 1), single = on_axes(400 * batch, n, 1, 1);
    for (std::size_t i = 0; i < even.size(); ++i) even[i] *= i % n < 2 ? 3.0F : 1.0F;
    for (std::size_t row = 0; row < single.size(); row += n) std::swap(single[row], single[row + 2]);
    Doubles energies(n, 0.0);
    for (std::size_t task = 0; task < 6; ++task) {
      show(backend, *protection, task, task < 5 ? even : single, silence(even));
      for (std::size_t i = 0; task < 5 && i < n; ++i)
        energies[i] += (i < 2 ? 9.0 : 1.0) * n / (2 * 9 + n - 2);
      if (task == 5) energies[2] += n;
      Doubles expected = identity(n);
      double taken = 0;
      for (std::size_t i = 0; i < n; ++i) {
        expected[i * n + i] = 1 / (1 + energies[i] / lambda);
        taken += 1 - expected[i * n + i];
      }
      CHECK(protection->subspace(0)->rank() == (task < 5 ? 2 : 3));
      CHECK(difference(expected, at.matrix_of(*protection->presynaptic_operator(0), n)) < 0.02);
      CHECK(protection->effective_rank(0) == Approx(taken).epsilon(0.01));
    }
  });
}

TEST_CASE("with a small lambda, and hardly anything outside its rows, the low-rank form is hlop on them",
          "[leaky]") {
  on_each_backend([](Backend& backend) {
    TwoProjections at(backend);
    const auto protection = lowrank(
        at,
        {.lambda = 0.025F, .learning = {}, .neurons = 3, .unexplained = 0, .growth = 3, .growth_batches = 1});
    // lambda is not smaller as what is outside is a difference of sums in float: not 0 but 1e-6 of all.
    const std::vector<float> x = on_axes(400 * batch, n, 3, 1);
    show(backend, *protection, 0, x, silence(x));
    const std::vector<float> h = backend.download(protection->subspace(0)->old_rows().values);
    REQUIRE(h.size() == 3 * n);
    Doubles expected = identity(n);
    add_moment(h, n, -1, expected);
    CHECK(difference(expected, at.matrix_of(*protection->presynaptic_operator(0), n)) < 5e-3);
    CHECK(protection->effective_rank(0) == Approx(3).epsilon(0.02));
  });
}

TEST_CASE("rows of the low-rank form are made orthonormal, though learning has not come to an end",
          "[leaky]") {
  on_each_backend([](Backend& backend) {
    TwoProjections at(backend);
    const auto protection = lowrank(
        at,
        {.lambda = 0.1F, .learning = {}, .neurons = 7, .unexplained = 0, .growth = 7, .growth_batches = 1});
    const std::vector<float> x = two_tasks()[0];
    show(backend, *protection, 0, x, silence(x));
    const std::vector<float> h = backend.download(protection->subspace(0)->old_rows().values);
    REQUIRE(h.size() == 7 * n);
    CHECK(orthonormality_error(h, n) < 1e-5);
  });
}

TEST_CASE("projections get neurons while energy is unexplained, under one budget", "[leaky]") {
  const auto backend = make_backend("cpu", 1);
  const std::size_t rows = 200 * batch;
  const std::vector<float> narrow = on_axes(rows, n, 3, 1);
  const std::vector<float> wide = on_axes(rows, TwoProjections::sizes[1], 6, 1);
  const auto ranks = [&](std::size_t neurons, float unexplained) {
    TwoProjections at(*backend);
    const auto protection = lowrank(at, {.lambda = 1,
                                         .learning = {},
                                         .neurons = neurons,
                                         .unexplained = unexplained,
                                         .growth = 2,
                                         .growth_batches = 20});
    show(*backend, *protection, 0, narrow, wide);
    return std::pair{protection->subspace(0)->rank(), protection->subspace(1)->rank()};
  };
  CHECK((ranks(100, 0.4F) == std::pair<std::size_t, std::size_t>{2, 4}));
  CHECK((ranks(100, 0.01F) == std::pair<std::size_t, std::size_t>{4, 6}));
  // Both get two, then the one with more unexplained what is left.
  CHECK((ranks(5, 0.01F) == std::pair<std::size_t, std::size_t>{2, 3}));
}

TEST_CASE("a second task with the same activity needs no more neurons and raises their energies", "[leaky]") {
  const auto backend = make_backend("cpu", 1);
  TwoProjections at(*backend);
  const auto protection = lowrank(
      at,
      {.lambda = 1, .learning = {}, .neurons = 100, .unexplained = 0.05F, .growth = 3, .growth_batches = 50});
  const std::vector<float> x = on_axes(200 * batch, n, 3, 0.5F);
  show(*backend, *protection, 0, x, silence(x));
  CHECK(protection->subspace(0)->rank() == 3);
  const double once = protection->effective_rank(0);
  CHECK(protection->memory(0) == 3 * (n * sizeof(float) + sizeof(double)) + sizeof(double));
  show(*backend, *protection, 1, x, silence(x));
  CHECK(protection->subspace(0)->rank() == 3);
  double expected = 0;
  for (int k = 0; k < 3; ++k) {
    const double energy = n * std::pow(0.5, k) / 1.75;
    expected += 2 * energy / (2 * energy + 1);
  }
  CHECK(protection->effective_rank(0) == Approx(expected).epsilon(0.02));
  CHECK(protection->effective_rank(0) > once);
}

}  // namespace orthospike::testing
