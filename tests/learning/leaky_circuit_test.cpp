#include "learning/protections/leaky_circuit.hpp"

#include <cmath>

#include "learning/protections/leaky.hpp"
#include "tests/learning/two_projections.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t n = TwoProjections::sizes[0];
constexpr std::size_t batch = TwoProjections::batch;

LeakySettings settings(float lambda, float tolerance, float learning_rate = 0) {
  return {.lambda = lambda,
          .form = LeakySettings::Form::circuit,
          .circuit = {.learning_rate = learning_rate, .tolerance = tolerance}};
}

/// I + L after two_tasks, [n × n].
Doubles expected_circuit(float lambda) {
  Doubles sum = identity(n);
  for (const std::vector<float>& x : two_tasks()) {
    double energy = 0;
    for (const float value : x) energy += static_cast<double>(value) * value;
    add_moment(x, n, n / energy / lambda, sum);
  }
  return sum;
}

/// The largest error along an eigenvector, relative to what is left there, is that of settled · exact⁻¹ - I
/// by its eigenvalues; this is its Frobenius norm.
double relative_error(const Doubles& settled, const Doubles& inverse) {
  Doubles rest = product(settled, inverse, n);
  double sum = 0;
  for (std::size_t i = 0; i < n * n; ++i) sum += std::pow(rest[i] - (i % (n + 1) == 0 ? 1.0 : 0.0), 2);
  return std::sqrt(sum);
}

}  // namespace

TEST_CASE("activity settles at the exact operator to the tolerance, along each eigenvector", "[leaky]") {
  on_each_backend([](Backend& backend) {
    for (const float lambda : {0.02F, 1.0F}) {
      const Doubles inverse = expected_circuit(lambda);
      double before = 10;
      std::size_t steps = 0;
      for (const float tolerance : {0.3F, 0.03F, 0.003F}) {
        TwoProjections at(backend);
        LeakyCircuit circuit(at.context(), settings(lambda, tolerance));
        learn(backend, circuit, two_tasks());
        const double error = relative_error(at.matrix_of(*circuit.presynaptic_operator(0), n), inverse);
        INFO("lambda " << lambda << ", tolerance " << tolerance << ", " << circuit.steps(0)
                       << " steps: " << error);
        // The bound is for each of n eigenvectors.
        CHECK(error < std::sqrt(static_cast<double>(n)) * tolerance);
        CHECK(error < 0.5 * before);
        CHECK(circuit.steps(0) > steps);
        before = error;
        steps = circuit.steps(0);
      }
    }
  });
}

TEST_CASE("the circuit and the exact form are one protection", "[leaky]") {
  on_each_backend([](Backend& backend) {
    TwoProjections at(backend);
    LeakyCircuit circuit(at.context(), settings(0.1F, 1e-5F));
    Leaky exact(at.context(), settings(0.1F, 1e-5F));
    circuit.begin_task(0);
    CHECK(circuit.presynaptic_operator(0) == nullptr);
    learn(backend, circuit, two_tasks());
    learn(backend, exact, two_tasks());
    const Doubles expected = at.matrix_of(*exact.presynaptic_operator(0), n);
    CHECK(difference(expected, at.matrix_of(*circuit.presynaptic_operator(0), n)) < 1e-4);
    CHECK(circuit.effective_rank(0) == Approx(exact.effective_rank(0)).epsilon(1e-5));
    CHECK(circuit.memory(0) == n * n * sizeof(float));
    // Where nothing was learned nothing is weakened.
    CHECK(circuit.presynaptic_operator(1) == nullptr);

    std::vector<float> unit(n * n, 0.0F);
    for (std::size_t i = 0; i < n; ++i) unit[i * n + i] = 1;
    auto gradient = uploaded(backend, unit);
    circuit.presynaptic_operator(0)->linear()->apply_to_gradient(gradient.matrix(n, n));
    const std::vector<float> through = downloaded(backend, gradient);
    CHECK(difference(expected, {through.begin(), through.end()}) < 1e-4);
  });
}

TEST_CASE("with a learning rate lateral weights forget the batches at the start of a task", "[leaky]") {
  const auto backend = make_backend("cpu", 1);
  // The first half of the task is along one axis, the second along another.
  std::vector<float> x(40 * batch * n, 0.0F);
  for (std::size_t row = 0; row < 40 * batch; ++row) x[row * n + (row < 20 * batch ? 0 : 1)] = 1;
  const auto weakened = [&](float rate) {
    TwoProjections at(*backend);
    LeakyCircuit circuit(at.context(), settings(1, 1e-5F, rate));
    learn(*backend, circuit, {x});
    const Doubles matrix = at.matrix_of(*circuit.presynaptic_operator(0), n);
    return std::pair{matrix[0], matrix[n + 1]};
  };
  const auto [first, second] = weakened(0);
  CHECK(first == Approx(1 / (1 + n / 2.0)).epsilon(1e-3));
  CHECK(second == Approx(1 / (1 + n / 2.0)).epsilon(1e-3));
  const auto [early, late] = weakened(0.1F);
  const double left = std::pow(0.9, 20);
  CHECK(early == Approx(1 / (1 + n * left)).epsilon(1e-3));
  CHECK(late == Approx(1 / (1 + n * (1 - left))).epsilon(1e-3));
}

TEST_CASE("spiking lateral neurons settle where linear ones do, to half of what a spike takes off",
          "[leaky]") {
  on_each_backend([](Backend& backend) {
    TwoProjections at(backend);
    Leaky exact(at.context(), settings(1, 0.01F));
    learn(backend, exact, two_tasks());
    const Doubles expected = at.matrix_of(*exact.presynaptic_operator(0), n);
    const std::vector<float> values = random_values(n, 5, -1.0F, 1.0F);
    const Doubles sum = expected_circuit(1);
    Doubles settled(n, 0.0);
    for (std::size_t i = 0; i < n * n; ++i) settled[i / n] += expected[i] * values[i % n];

    double before = 10;
    for (const float height : {0.1F, 0.01F, 0.001F}) {
      LeakySettings by_spikes = settings(1, 0.01F);
      by_spikes.circuit.neurons = CircuitSettings::Neurons::spiking;
      by_spikes.circuit.spike_height = height;
      by_spikes.circuit.sweeps = 10000;
      LeakyCircuit circuit(at.context(), by_spikes);
      CHECK_FALSE(by_spikes.traits().is_linear);
      learn(backend, circuit, two_tasks());
      PresynapticOperator& on = *circuit.presynaptic_operator(0);
      CHECK(on.linear() == nullptr);
      const auto x = uploaded(backend, values);
      const std::vector<float> z = backend.download(on.apply_to_traces(x.matrix(1, n)).values);
      // z = P (x - v) with |v_i| ≤ height (1 + L_ii) / 2.
      double error = 0, bound = 0;
      for (std::size_t i = 0; i < n; ++i) {
        error += std::pow(z[i] - settled[i], 2);
        bound += std::pow(height * sum[i * n + i] / 2, 2);
      }
      CHECK(std::sqrt(error) < std::sqrt(bound));
      CHECK(std::sqrt(error) < 0.5 * before);
      before = std::sqrt(error);
      CHECK(downloaded(backend, x) == values);
    }
  });
}

}  // namespace orthospike::testing
