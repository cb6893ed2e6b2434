#include <vector>

#include "kernels/lateral.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {

TEST_CASE("quantise and spike_signed agree with the reference bit for bit", "[conformance][lateral]") {
  for (const std::size_t size : {0U, 1U, 131U, 40'003U}) {
    for (const std::size_t steps : {1U, 40U, 1000U}) {
      if (size * steps > 2'000'000) continue;
      INFO(size << " values, " << steps << " steps");
      check_conformance([&](Backend& backend) {
        std::vector<float> currents = random_values(size, 1, -24.0F, 24.0F);  // some beyond the scale
        const std::vector<float> special = {
            not_a_number, 20.0F, -20.0F, 0.0F, 0.25F, -0.75F, 10.0F, std::numeric_limits<float>::infinity(),
            -1e30F};
        if (size > special.size()) std::copy(special.begin(), special.end(), currents.begin() + 1);
        auto quantised = uploaded(backend, currents), responses = uploaded(backend, currents);
        auto spikes = uploaded(backend, std::vector<std::uint32_t>(size, 7));
        backend.lateral().run(Quantise{.scale = 20.0F, .levels = steps, .values = quantised.view()});
        backend.lateral().run(
            SpikeSigned{.scale = 20.0F, .steps = steps, .values = responses.view(), .spikes = spikes.view()});
        return Outcome{{"quantised", exactly(downloaded(backend, quantised))},
                       {"responses", exactly(downloaded(backend, responses))},
                       {"spikes", exactly(downloaded(backend, spikes))}};
      });
    }
  }
}

TEST_CASE("settle_by_spikes agrees with the reference bit for bit", "[conformance][lateral]") {
  struct Shape {
    std::size_t rows, inputs;
  };
  for (const Shape& s : {Shape{1, 1}, {0, 35}, {67, 1}, {3, 35}, {67, 35}, {5, 131}, {2, 301}}) {
    for (const std::size_t sweeps : {0U, 1U, 3U, 50U}) {
      INFO(s.rows << " rows of " << s.inputs << ", " << sweeps << " sweeps");
      check_conformance([&](Backend& backend) {
        const auto factor = uploaded(backend, random_values(s.inputs * s.inputs, 1, -0.1F, 0.1F));
        auto inhibition = backend.allocate<float>(s.inputs * s.inputs);
        const Matrix weights = inhibition.matrix(s.inputs, s.inputs);
        std::vector<float> product(s.inputs * s.inputs, 0.0F);  // on the host: alike on every back end
        const std::vector<float> rows = downloaded(backend, factor);
        for (std::size_t i = 0; i < s.inputs; ++i) {
          for (std::size_t j = 0; j < s.inputs; ++j) {
            for (std::size_t k = 0; k < s.inputs; ++k)
              product[i * s.inputs + j] += 10 * rows[k * s.inputs + i] * rows[k * s.inputs + j];
          }
        }
        backend.upload<float>(product, weights.values);
        std::vector<float> x = random_values(s.rows * s.inputs, 2, -1.0F, 1.0F);
        if (s.rows > 2) x[s.inputs + s.inputs / 2] = not_a_number;
        if (s.rows > 3) x[2 * s.inputs] = 0.05F * (1 + product[0]);  // half a spike
        auto potential = uploaded(backend, x);
        auto activity = uploaded(backend, std::vector<float>(x.size(), 7.0F));
        backend.lateral().run(SettleBySpikes{.height = 0.1F,
                                             .sweeps = sweeps,
                                             .inhibition = weights,
                                             .potential = potential.matrix(s.rows, s.inputs),
                                             .activity = activity.matrix(s.rows, s.inputs)});
        return Outcome{{"potential", exactly(downloaded(backend, potential))},
                       {"activity", exactly(downloaded(backend, activity))}};
      });
    }
  }
}

TEST_CASE("spikes settle where every potential is below half of what one takes off", "[lateral]") {
  constexpr std::size_t n = 35, batch = 3;
  constexpr float height = 0.05F;
  const std::vector<float> rows = random_values(n * n, 1, -0.1F, 0.1F);
  std::vector<float> inhibition(n * n, 0.0F);
  for (std::size_t i = 0; i < n * n * n; ++i)
    inhibition[i / n] += 30 * rows[i % n * n + i / n / n] * rows[i % n * n + i / n % n];
  const std::vector<float> x = random_values(batch * n, 2, -1.0F, 1.0F);
  on_each_backend([&](Backend& backend) {
    const auto weights = uploaded(backend, inhibition);
    auto potential = uploaded(backend, x);
    auto activity = backend.allocate<float>(batch * n);
    backend.lateral().run(SettleBySpikes{.height = height,
                                         .sweeps = 1000,
                                         .inhibition = weights.matrix(n, n),
                                         .potential = potential.matrix(batch, n),
                                         .activity = activity.matrix(batch, n)});
    const std::vector<float> v = downloaded(backend, potential), z = downloaded(backend, activity);
    for (std::size_t row = 0; row < batch; ++row) {
      for (std::size_t i = 0; i < n; ++i) {
        const float value = z[row * n + i];
        double left = static_cast<double>(x[row * n + i]) - value;
        for (std::size_t j = 0; j < n; ++j)
          left -= static_cast<double>(inhibition[i * n + j]) * z[row * n + j];
        CHECK(std::abs(left) <= height * (1 + inhibition[i * n + i]) / 2 + 1e-5);
        CHECK(std::abs(left - v[row * n + i]) < 1e-5);
        CHECK(std::abs(value / height - std::round(value / height)) < 1e-3);
      }
    }
  });
}

}  // namespace orthospike::testing
