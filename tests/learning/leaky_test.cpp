#include "learning/protections/leaky.hpp"

#include <cmath>

#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"
#include "tests/learning/two_projections.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t n = TwoProjections::sizes[0];
constexpr std::size_t batch = TwoProjections::batch;

std::unique_ptr<Leaky> leaky(const TwoProjections& at, const LeakySettings& settings) {
  return std::make_unique<Leaky>(at.context(), settings);
}

/// I + C / lambda, with each task's second moment scaled to trace n.
Doubles inverse_of_operator(const std::vector<std::vector<float>>& tasks, double lambda) {
  Doubles sum = identity(n);
  for (const std::vector<float>& x : tasks) {
    double energy = 0;
    for (const float value : x) energy += static_cast<double>(value) * value;
    add_moment(x, n, n / energy / lambda, sum);
  }
  return sum;
}

}  // namespace

TEST_CASE("the leaky operator is the inverse of 1 + C / lambda and symmetric", "[leaky]") {
  on_each_backend([](Backend& backend) {
    for (const float lambda : {0.01F, 1.0F}) {
      TwoProjections at(backend);
      const auto protection = leaky(at, {.lambda = lambda});
      protection->begin_task(0);
      CHECK(protection->presynaptic_operator(0) == nullptr);
      learn(backend, *protection, two_tasks());
      const Doubles matrix = at.matrix_of(*protection->presynaptic_operator(0), n);
      CHECK(difference(identity(n), product(matrix, inverse_of_operator(two_tasks(), lambda), n)) <
            2e-5 / lambda);
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < i; ++j) CHECK(matrix[i * n + j] == matrix[j * n + i]);
      }
      // What was not observed is not protected.
      CHECK(protection->presynaptic_operator(1) == nullptr);
    }
  });
}

TEST_CASE("the leaky operator acts on gradients and on spikes as on traces", "[leaky]") {
  on_each_backend([](Backend& backend) {
    TwoProjections at(backend);
    const auto protection = leaky(at, {.lambda = 0.1F});
    learn(backend, *protection, two_tasks());
    PresynapticOperator& on = *protection->presynaptic_operator(0);
    SpikeArrays spikes = uploaded_spikes(backend, random_events(batch, n, 0.3, 3), n);
    Array<float> x = backend.allocate<float>(batch * n), transposed = backend.allocate<float>(n * batch);
    backend.delivery().run(ExpandSpikes{.spikes = spikes.view(), .x = x.matrix(batch, n)});
    backend.dense().run(Transpose{.a = x.matrix(batch, n), .b = transposed.matrix(n, batch)});
    const std::vector<float> dense = backend.download(on.apply_to_traces(x.matrix(batch, n)).values);
    const std::vector<float> events =
        backend.download(on.apply_to_traces({x.matrix(batch, n), spikes.view()}).values);
    on.linear()->apply_to_gradient(transposed.matrix(n, batch));
    backend.dense().run(Transpose{.a = transposed.matrix(n, batch), .b = x.matrix(batch, n)});
    const std::vector<float> gradient = downloaded(backend, x);
    CHECK(difference({dense.begin(), dense.end()}, {events.begin(), events.end()}) < 1e-6);
    CHECK(difference({dense.begin(), dense.end()}, {gradient.begin(), gradient.end()}) < 1e-6);
  });
}

TEST_CASE("along an eigenvector with eigenvalue c, 1 / (1 + c / lambda) is left", "[leaky]") {
  on_each_backend([](Backend& backend) {
    // Each row is one direction (cosines, which are orthonormal) with an energy of its own.
    std::vector<float> x(n * n);
    Doubles direction(n * n), energy(n);
    double total = 0;
    for (std::size_t k = 0; k < n; ++k) {
      energy[k] = std::pow(0.5, static_cast<double>(k));
      total += energy[k];
      for (std::size_t i = 0; i < n; ++i) {
        direction[k * n + i] =
            std::sqrt((k == 0 ? 1.0 : 2.0) / n) *
            std::cos(3.14159265358979 / n * (static_cast<double>(i) + 0.5) * static_cast<double>(k));
        x[k * n + i] = static_cast<float>(std::sqrt(energy[k]) * direction[k * n + i]);
      }
    }
    double before = 0;
    for (const float lambda : {0.03F, 0.3F, 3.0F}) {
      TwoProjections at(backend);
      const auto protection = leaky(at, {.lambda = lambda});
      learn(backend, *protection, {x});
      const auto rows = uploaded(backend, std::vector<float>(direction.begin(), direction.end()));
      const std::vector<float> left =
          backend.download(protection->presynaptic_operator(0)->apply_to_traces(rows.matrix(n, n)).values);
      double leak = 0;
      for (std::size_t k = 0; k < n; ++k) {
        const double expected = 1 / (1 + energy[k] / total * n / lambda);
        double along = 0;
        for (std::size_t i = 0; i < n; ++i) along += left[k * n + i] * direction[k * n + i];
        CHECK(along == Approx(expected).epsilon(1e-4));
        leak += along * along * energy[k] / total;
      }
      CHECK(leak > before);
      before = leak;
    }
  });
}

TEST_CASE("a silent source is not protected, activity that is not finite is refused", "[leaky]") {
  const auto backend = make_backend("cpu", 1);
  TwoProjections at(*backend);
  const auto protection = leaky(at, {.lambda = 0.1F});
  learn(*backend, *protection, {std::vector<float>(batch * n, 0.0F)});
  CHECK(protection->presynaptic_operator(0) == nullptr);
  CHECK_THROWS_WITH(learn(*backend, *protection, {std::vector<float>(batch * n, not_a_number)}),
                    "the activity that first sees cannot be factorised: its energy is not finite");
}

}  // namespace orthospike::testing
