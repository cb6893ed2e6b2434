#include "learning/protections/kfac.hpp"

#include <cmath>

#include "kernels/delivery.hpp"
#include "learning/protections/kfac_separable.hpp"
#include "learning/protections/leaky.hpp"
#include "tests/learning/summed_gradient.hpp"
#include "tests/learning/two_projections.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t n = TwoProjections::sizes[0], m = TwoProjections::sizes[1];
constexpr std::size_t batch = TwoProjections::batch;

/// Activity of the source of the first projection and postsynaptic factors of its target, [3·batch × n] and
/// [2·batch × m].
struct Shown {
  std::vector<float> activity, post;
};

const std::vector<Shown>& shown_tasks() {
  static const auto tasks = [] {
    std::vector<Shown> all = {{uneven_activity(3 * batch, n, 1), uneven_activity(2 * batch, m, 2)},
                              {uneven_activity(3 * batch, n, 3), uneven_activity(2 * batch, m, 4)}};
    for (Shown& task : all) {  // errors get smaller and turn
      for (std::size_t i = batch * m; i < task.post.size(); ++i) task.post[i] *= i % m < m / 2 ? 0.01F : 0.2F;
    }
    return all;
  }();
  return tasks;
}

void show(Backend& backend, Protection& protection, const std::vector<Shown>& tasks) {
  for (std::size_t task = 0; task < tasks.size(); ++task) {
    protection.begin_task(task);
    const auto x = uploaded(backend, tasks[task].activity), post = uploaded(backend, tasks[task].post);
    for (const std::size_t half : {0U, 1U}) {
      const std::size_t rows = 3 * batch / 2;
      protection.observe(0, x.matrix(3 * batch, n).row_range(half * rows, rows),
                         post.matrix(2 * batch, m).row_range(half * batch, batch));
    }
    protection.end_task();
  }
  protection.begin_task(tasks.size());
}

std::unique_ptr<Kfac> kfac(const TwoProjections& at, const KfacSettings& settings) {
  return std::make_unique<Kfac>(at.context(), settings);
}

/// Sum over rows of x, scaled to mean eigenvalue `scale`, added to sum [size × size].
void add_scaled(const std::vector<float>& x, std::size_t size, double scale, Doubles& sum) {
  double energy = 0;
  for (const float value : x) energy += static_cast<double>(value) * value;
  add_moment(x, size, scale * static_cast<double>(size) / energy, sum);
}

/// a [rows × inner] · b [inner × cols]
Doubles times(const Doubles& a, const Doubles& b, std::size_t rows, std::size_t inner, std::size_t cols) {
  Doubles c(rows * cols, 0.0);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t k = 0; k < inner; ++k) {
      for (std::size_t j = 0; j < cols; ++j) c[i * cols + j] += a[i * inner + k] * b[k * cols + j];
    }
  }
  return c;
}

/// A change [n × m] under the operator.
Doubles operated(Backend& backend, ChangeOperator& on, const Doubles& change) {
  auto gradient = uploaded(backend, std::vector<float>(change.begin(), change.end()));
  on.linear()->apply_to_gradient(gradient.matrix(n, m));
  const std::vector<float> result = downloaded(backend, gradient);
  return {result.begin(), result.end()};
}

Doubles random_change(std::uint32_t seed) {
  const std::vector<float> values = random_values(n * m, seed);
  return {values.begin(), values.end()};
}

/// The largest error of Z + C Z D / lambda = G, Z being G under the operator.
double error_of_minimum(Backend& backend, ChangeOperator& on, const Doubles& c, const Doubles& d,
                        double lambda) {
  const Doubles g = random_change(5);
  const Doubles z = operated(backend, on, g);
  Doubles sum = times(times(c, z, n, n, m), d, n, m, m);
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = z[i] + sum[i] / lambda;
  return difference(sum, g);
}

struct Moments {
  Doubles c = Doubles(n * n), d = Doubles(m * m);
};

/// Of tasks with two batches of errors; their batches count alike, or as large as they are.
Moments moments(const std::vector<Shown>& tasks, bool batches_alike = true) {
  Moments of;
  const double share = 1.0 / static_cast<double>(tasks.size());
  for (const Shown& task : tasks) {
    add_scaled(task.activity, n, 1, of.c);
    const auto half = task.post.begin() + batch * m;
    if (batches_alike) {
      add_scaled({task.post.begin(), half}, m, share / 2, of.d);
      add_scaled({half, task.post.end()}, m, share / 2, of.d);
    } else {
      add_scaled(task.post, m, share, of.d);
    }
  }
  return of;
}

/// Orthonormal directions of m numbers, one a row (cosines).
Doubles directions() {
  Doubles rows(m * m);
  for (std::size_t k = 0; k < m; ++k) {
    for (std::size_t i = 0; i < m; ++i) {
      rows[k * m + i] =
          std::sqrt((k == 0 ? 1.0 : 2.0) / m) *
          std::cos(3.14159265358979 / m * (static_cast<double>(i) + 0.5) * static_cast<double>(k));
    }
  }
  return rows;
}

}  // namespace

TEST_CASE("a change becomes what least departs from it and least disturbs finished tasks", "[kfac]") {
  on_each_backend([](Backend& backend) {
    const Moments of = moments(shown_tasks());
    for (const float lambda : {0.3F, 3.0F}) {
      TwoProjections at(backend);
      const auto protection = kfac(at, {.lambda = {lambda, 100}, .directions = m, .power = 1});
      CHECK(protection->change_operator(0) == nullptr);
      show(backend, *protection, shown_tasks());
      REQUIRE(protection->change_operator(0) != nullptr);
      CHECK(error_of_minimum(backend, *protection->change_operator(0), of.c, of.d, lambda) < 1e-3);
      // What was not observed is not protected.
      CHECK(protection->change_operator(1) == nullptr);
    }
  });
}

TEST_CASE("postsynaptic directions beyond the leading ones share their mean energy", "[kfac]") {
  on_each_backend([](Backend& backend) {
    constexpr std::size_t leading = 4;
    // Energies 9, 8, 7, 6, then 1 and 0 in turn.
    const Doubles rows = directions();
    std::vector<float> post(m * m);
    Doubles energy(m);
    double total = 0, others = 0;
    for (std::size_t k = 0; k < m; ++k) {
      energy[k] = k < leading ? 9.0 - static_cast<double>(k) : static_cast<double>(k % 2);
      total += energy[k];
      if (k >= leading) others += energy[k];
      for (std::size_t i = 0; i < m; ++i)
        post[k * m + i] = static_cast<float>(std::sqrt(energy[k]) * rows[k * m + i]);
    }
    Doubles d(m * m);
    for (std::size_t k = 0; k < m; ++k) {
      const double scale = (k < leading ? energy[k] : others / (m - leading)) * m / total;
      for (std::size_t i = 0; i < m; ++i) {
        for (std::size_t j = 0; j < m; ++j) d[i * m + j] += scale * rows[k * m + i] * rows[k * m + j];
      }
    }
    const std::vector<float> x = uneven_activity(3 * batch, n, 1);
    Doubles c(n * n);
    add_scaled(x, n, 1, c);

    TwoProjections at(backend);
    const auto protection = kfac(at, {.lambda = {0.5F}, .directions = leading, .power = 1});
    protection->begin_task(0);
    const auto activity = uploaded(backend, x), posts = uploaded(backend, post);
    protection->observe(0, activity.matrix(3 * batch, n), posts.matrix(m, m));
    protection->end_task();
    CHECK(error_of_minimum(backend, *protection->change_operator(0), c, d, 0.5) < 1e-3);
  });
}

TEST_CASE("kfac acts on pairs and on events as on their sum", "[kfac]") {
  on_each_backend([](Backend& backend) {
    for (const std::size_t directions : {std::size_t{3}, m}) {
      INFO(directions << " directions");
      TwoProjections at(backend);
      const auto protection = kfac(at, {.lambda = {0.5F}, .directions = directions, .power = 1});
      show(backend, *protection, shown_tasks());
      ChangeOperator& on = *protection->change_operator(0);
      SpikeArrays spikes = uploaded_spikes(backend, random_events(batch, n, 0.3, 3), n);
      Array<float> rows = backend.allocate<float>(batch * n);
      const Matrix x = rows.matrix(batch, n);
      backend.delivery().run(ExpandSpikes{.spikes = spikes.view(), .x = x});
      const auto values = uploaded(backend, random_values(batch * m, 6));
      const ConstMatrix post = values.matrix(batch, m);
      const Doubles sum = operated(backend, on, summed(backend, {x, post}));
      CHECK(difference(sum, summed(backend, on.apply_to_pairs({x, post}))) < 1e-5);
      CHECK(difference(sum, summed(backend, on.apply_to_pairs({{x, spikes.view()}, post}))) < 1e-5);
      // Fewer pairs after more.
      const Doubles first = operated(backend, on, summed(backend, {x.first_rows(5), post.first_rows(5)}));
      CHECK(difference(first, summed(backend, on.apply_to_pairs({x.first_rows(5), post.first_rows(5)}))) <
            1e-5);
    }
  });
}

TEST_CASE("one side alone is leaky inhibition, or the same on the other side", "[kfac]") {
  on_each_backend([](Backend& backend) {
    TwoProjections at(backend);
    Leaky leaky(at.context(), {.lambda = 0.5F});
    show(backend, leaky, shown_tasks());
    for (const std::size_t directions : {std::size_t{3}, m}) {
      INFO(directions << " directions");
      const auto presynaptic =
          kfac(at, {.lambda = {0.5F}, .directions = directions, .power = 1, .target_isotropy = 1});
      show(backend, *presynaptic, shown_tasks());
      const Doubles change = random_change(7);
      CHECK(difference(operated(backend, *leaky.change_operator(0), change),
                       operated(backend, *presynaptic->change_operator(0), change)) < 1e-5);
      CHECK(difference(at.matrix_of(*leaky.presynaptic_operator(0), n),
                       at.matrix_of(*presynaptic->presynaptic_operator(0), n)) < 1e-5);
      CHECK(presynaptic->effective_rank(0) == Approx(leaky.effective_rank(0)));
    }
    const auto postsynaptic = kfac(at, {.lambda = {0.5F}, .directions = m, .power = 1, .source_isotropy = 1});
    show(backend, *postsynaptic, shown_tasks());
    Doubles uniform = identity(n);
    for (double& value : uniform) value *= 2;  // two tasks
    CHECK(error_of_minimum(backend, *postsynaptic->change_operator(0), uniform, moments(shown_tasks()).d,
                           0.5) < 1e-3);
  });
}

TEST_CASE("isotropy of the targets leads from both sides to one", "[kfac]") {
  on_each_backend([](Backend& backend) {
    TwoProjections at(backend);
    const auto protection =
        kfac(at, {.lambda = {0.5F}, .directions = m, .power = 1, .target_isotropy = 0.3F});
    show(backend, *protection, shown_tasks());
    Moments of = moments(shown_tasks());
    for (std::size_t i = 0; i < m * m; ++i) of.d[i] = 0.7 * of.d[i] + (i % (m + 1) == 0 ? 0.3 : 0);
    CHECK(error_of_minimum(backend, *protection->change_operator(0), of.c, of.d, 0.5) < 1e-3);
  });
}

TEST_CASE("a power makes the step from free to protected steeper", "[kfac]") {
  on_each_backend([](Backend& backend) {
    TwoProjections at(backend);
    const auto plain = kfac(at, {.lambda = {1}, .directions = m, .power = 1}),
               steep = kfac(at, {.lambda = {1}, .directions = m, .power = 2});
    show(backend, *plain, shown_tasks());
    show(backend, *steep, shown_tasks());
    // On eigenvectors f = 1 / (1 + e) becomes 1 / (1 + e²), so that (1/f - 1)² is 1/f' - 1. Of any change that is
    // ((P⁻¹ - 1)² + 1) P' G = G: with Z = P' G and e Z = C Z D, Z + C (C Z D) D = G.
    const Moments of = moments(shown_tasks());
    const Doubles g = random_change(8);
    const Doubles z = operated(backend, *steep->change_operator(0), g);
    const auto both = [&](const Doubles& change) {
      return times(times(of.c, change, n, n, m), of.d, n, m, m);
    };
    Doubles sum = both(both(z));
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += z[i];
    CHECK(difference(sum, g) < 1e-2);
    CHECK(difference(operated(backend, *plain->change_operator(0), g), z) > 0.01);
  });
}

TEST_CASE("the effective rank and the presynaptic operator are means over targets", "[kfac]") {
  on_each_backend([](Backend& backend) {
    for (const std::size_t directions : {std::size_t{3}, m}) {
      TwoProjections at(backend);
      const auto protection = kfac(at, {.lambda = {0.5F}, .directions = directions, .power = 1});
      show(backend, *protection, shown_tasks());
      // Sum over targets j of what becomes of e_i along target j.
      Doubles mean(n * n);
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < m; ++j) {
          Doubles change(n * m);
          change[i * m + j] = 1;
          const Doubles left = operated(backend, *protection->change_operator(0), change);
          for (std::size_t k = 0; k < n; ++k) mean[i * n + k] += left[k * m + j] / m;
        }
      }
      CHECK(difference(mean, at.matrix_of(*protection->presynaptic_operator(0), n)) < 1e-5);
      double taken = 0;
      for (std::size_t i = 0; i < n; ++i) taken += 1 - mean[i * n + i];
      CHECK(protection->effective_rank(0) == Approx(taken).epsilon(1e-4));
    }
  });
}

TEST_CASE("in its separable forms each side is damped by itself", "[kfac][long]") {
  on_each_backend([](Backend& backend) {
    for (const auto form : {KfacSettings::Form::separable, KfacSettings::Form::circuit}) {
      INFO("circuit " << (form == KfacSettings::Form::circuit));
      TwoProjections at(backend);
      const KfacSettings settings{
          .form = form, .lambda = {0.5F}, .mu = 0.7F, .circuit = {.tolerance = 1e-5F}};
      KfacSeparable protection(at.context(), settings);
      protection.begin_task(0);
      CHECK(protection.change_operator(0) == nullptr);
      show(backend, protection, shown_tasks());
      CHECK(protection.change_operator(1) == nullptr);
      // (I + C / lambda) Z (I + D / mu) = G
      Moments of = moments(shown_tasks(), false);
      for (std::size_t i = 0; i < n * n; ++i) of.c[i] = of.c[i] / 0.5 + (i % (n + 1) == 0 ? 1 : 0);
      for (std::size_t i = 0; i < m * m; ++i) of.d[i] = of.d[i] / 0.7 + (i % (m + 1) == 0 ? 1 : 0);
      const Doubles g = random_change(5);
      ChangeOperator& on = *protection.change_operator(0);
      const Doubles z = operated(backend, on, g);
      CHECK(difference(times(times(of.c, z, n, n, m), of.d, n, m, m), g) < 1e-3);

      const auto traces = uploaded(backend, random_values(batch * n, 6)),
                 posts = uploaded(backend, random_values(batch * m, 7));
      const Pairs pairs{traces.matrix(batch, n), posts.matrix(batch, m)};
      CHECK(difference(operated(backend, on, summed(backend, pairs)),
                       summed(backend, on.apply_to_pairs(pairs))) < 1e-4);

      double taken = 0;
      for (std::size_t i = 0; i < n * m; ++i) {
        Doubles change(n * m);
        change[i] = 1;
        taken += (1 - operated(backend, on, change)[i]) / m;
      }
      CHECK(protection.effective_rank(0) == Approx(taken).epsilon(1e-3));
      CHECK(protection.memory(0) > 0);
    }
  });
}

TEST_CASE("errors settle by spikes whatever their size", "[kfac]") {
  on_each_backend([](Backend& backend) {
    TwoProjections at(backend);
    KfacSettings settings{
        .form = KfacSettings::Form::circuit, .lambda = {2}, .mu = 2, .circuit = {.tolerance = 1e-5F}};
    KfacSeparable linear(at.context(), settings);
    settings.circuit = {
        .neurons = CircuitSettings::Neurons::spiking, .spike_height = 0.002F, .sweeps = 10000};
    KfacSeparable spiking(at.context(), settings);
    CHECK_FALSE(settings.traits().is_linear);
    std::vector<Shown> tasks = shown_tasks();
    for (Shown& task : tasks) {
      for (float& value : task.post) value *= 1e-4F;
    }
    show(backend, linear, tasks);
    show(backend, spiking, tasks);
    CHECK(spiking.change_operator(0)->linear() == nullptr);
    const auto traces = uploaded(backend, random_values(batch * n, 6)),
               posts = uploaded(backend,
                                std::vector<float>(tasks[1].post.begin(), tasks[1].post.begin() + batch * m));
    const Pairs pairs{traces.matrix(batch, n), posts.matrix(batch, m)};
    const Doubles exact = summed(backend, linear.change_operator(0)->apply_to_pairs(pairs)),
                  by_spikes = summed(backend, spiking.change_operator(0)->apply_to_pairs(pairs));
    CHECK(difference(exact, by_spikes) < 0.01);
  });
}

TEST_CASE("tasks without activity or errors are not protected, those that are not finite refused", "[kfac]") {
  const auto backend = make_backend("cpu", 1);
  TwoProjections at(*backend);
  const std::vector<float> no_activity(3 * batch * n, 0.0F), no_errors(2 * batch * m, 0.0F),
      broken(2 * batch * m, not_a_number);
  const Shown& task = shown_tasks()[0];
  const auto protection = kfac(at, {});
  show(*backend, *protection, {{no_activity, task.post}});
  CHECK(protection->change_operator(0) == nullptr);
  const auto other = kfac(at, {});
  show(*backend, *other, {{task.activity, no_errors}});
  CHECK(other->change_operator(0) == nullptr);
  // The mean over those that have errors.
  show(*backend, *other, {task});
  CHECK(other->change_operator(0) != nullptr);
  CHECK_THROWS_WITH(show(*backend, *other, {{task.activity, broken}}),
                    "the activity that first sees cannot be factorised: its energy is not finite");
}

}  // namespace orthospike::testing
