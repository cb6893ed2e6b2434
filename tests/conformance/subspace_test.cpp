#include <vector>

#include "kernels/lateral.hpp"
#include "kernels/subspaces.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

struct Shape {
  std::size_t rows, rank, inputs;
};

/// Small enough that removing it from x leaves numbers of the size of x.
std::vector<float> random_weights(std::size_t rank, std::size_t inputs, std::uint32_t seed) {
  return random_values(rank * inputs, seed, -0.1F, 0.1F);
}

}  // namespace

TEST_CASE("remove_subspace agrees with the reference", "[conformance][subspace]") {
  for (const Shape& s : {Shape{1, 1, 1},
                         {67, 1, 131},
                         {1, 35, 131},
                         {67, 1, 1},
                         {67, 35, 131},
                         {131, 67, 259},
                         {300, 35, 131},
                         {67, 0, 131},
                         {0, 35, 131}}) {
    INFO(s.rows << " rows, rank " << s.rank << ", " << s.inputs << " inputs");
    check_conformance([&](Backend& backend) {
      const auto h = uploaded(backend, random_weights(s.rank, s.inputs, 1));
      const auto x = uploaded(backend, random_values(s.rows * s.inputs, 2));
      auto in_place = uploaded(backend, random_values(s.rows * s.inputs, 2));
      auto residual = uploaded(backend, std::vector<float>(s.rows * s.inputs, not_a_number));
      const ConstMatrix subspace = h.matrix(s.rank, s.inputs);
      backend.subspaces().run(RemoveSubspace{
          .h = subspace, .x = x.matrix(s.rows, s.inputs), .residual = residual.matrix(s.rows, s.inputs)});
      backend.subspaces().run(RemoveSubspace{.h = subspace,
                                             .x = in_place.matrix(s.rows, s.inputs),
                                             .residual = in_place.matrix(s.rows, s.inputs)});
      return Outcome{{"residual", about(downloaded(backend, residual), 2e-6)},
                     {"in place", about(downloaded(backend, in_place), 2e-6)},
                     {"x", exactly(downloaded(backend, x))}};
    });
  }
}

TEST_CASE("quantise and spike_signed agree with the reference bit for bit", "[conformance][subspace]") {
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

TEST_CASE("settle_by_spikes agrees with the reference bit for bit", "[conformance][subspace]") {
  for (const Shape& s :
       {Shape{1, 0, 1}, {0, 0, 35}, {67, 0, 1}, {3, 0, 35}, {67, 0, 35}, {5, 0, 131}, {2, 0, 301}}) {
    for (const std::size_t sweeps : {0U, 1U, 3U, 50U}) {
      INFO(s.rows << " rows of " << s.inputs << ", " << sweeps << " sweeps");
      check_conformance([&](Backend& backend) {
        const auto factor = uploaded(backend, random_weights(s.inputs, s.inputs, 1));
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

TEST_CASE("spikes settle where every potential is below half of what one takes off", "[subspace]") {
  constexpr std::size_t n = 35, batch = 3;
  constexpr float height = 0.05F;
  const std::vector<float> rows = random_weights(n, n, 1);
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

TEST_CASE("hebbian_step agrees with the reference", "[conformance][subspace]") {
  for (const Shape& s : {Shape{0, 1, 1}, {0, 1, 131}, {0, 67, 1}, {0, 67, 131}, {0, 131, 301}, {0, 0, 131}}) {
    INFO("rank " << s.rank << ", " << s.inputs << " inputs");
    check_conformance([&](Backend& backend) {
      const std::size_t size = s.rank * s.inputs;
      std::vector<float> values = random_values(size, 1, -10.0F, 10.0F);  // half of them beyond the clamp
      if (size > 3) values[1] = not_a_number;
      const auto correlation = uploaded(backend, values);
      auto velocity = uploaded(backend, random_values(size, 2));
      auto h = uploaded(backend, random_values(size, 3));
      backend.subspaces().run(
          FollowCorrelation{.rates = {.learning_rate = 0.1F, .momentum = 0.9F, .scale = 0.2F, .clamp = 1.0F},
                            .correlation = correlation.matrix(s.rank, s.inputs),
                            .velocity = velocity.matrix(s.rank, s.inputs),
                            .h = h.matrix(s.rank, s.inputs)});
      return Outcome{{"velocity", about(downloaded(backend, velocity), 1e-6)},
                     {"h", about(downloaded(backend, h), 1e-6)}};
    });
  }
}

TEST_CASE("hebbian_step from responses and residuals agrees with the reference", "[conformance][subspace]") {
  for (const Shape& s : {Shape{1, 1, 1},
                         {67, 1, 131},
                         {1, 67, 131},
                         {67, 35, 1},
                         {67, 35, 131},
                         {67, 131, 301},
                         {0, 35, 131},
                         {67, 0, 131}}) {
    INFO(s.rows << " rows, rank " << s.rank << ", " << s.inputs << " inputs");
    check_conformance([&](Backend& backend) {
      const auto response = uploaded(backend, random_values(s.rows * s.rank, 1));
      const auto residual = uploaded(backend, random_values(s.rows * s.inputs, 2));
      auto velocity = uploaded(backend, random_values(s.rank * s.inputs, 3));
      auto h = uploaded(backend, random_values(s.rank * s.inputs, 4));
      // Correlations of 67 rows have a deviation of 2.7: many lie beyond the clamp.
      backend.subspaces().run(
          HebbianStep{.rates = {.learning_rate = 0.1F, .momentum = 0.9F, .scale = 0.5F, .clamp = 1.0F},
                      .response = response.matrix(s.rows, s.rank),
                      .residual = residual.matrix(s.rows, s.inputs),
                      .velocity = velocity.matrix(s.rank, s.inputs),
                      .h = h.matrix(s.rank, s.inputs)});
      return Outcome{{"velocity", about(downloaded(backend, velocity), 2e-6)},
                     {"h", about(downloaded(backend, h), 2e-6)}};
    });
  }
}

TEST_CASE("orthonormalise_rows agrees with the reference", "[conformance][subspace]") {
  struct Case {
    std::size_t rank, first, inputs;
  };
  for (const Case& c : {Case{1, 0, 1},
                        {1, 0, 131},
                        {67, 0, 131},
                        {67, 20, 131},
                        {67, 66, 131},
                        {67, 67, 131},
                        {35, 0, 35},
                        {0, 0, 131}}) {
    INFO("rows " << c.first << " to " << c.rank << " of " << c.inputs << " inputs");
    check_conformance([&](Backend& backend) {
      auto h = uploaded(backend, random_values(c.rank * c.inputs, 1));
      const Matrix rows = h.matrix(c.rank, c.inputs);
      // Rows before the first are assumed orthonormal.
      backend.subspaces().run(OrthonormaliseRows{.h = rows.first_rows(c.first)});
      backend.subspaces().run(OrthonormaliseRows{.h = rows, .first = c.first});
      return Outcome{{"h", about(downloaded(backend, h), 1e-5)}};
    });
  }
}

TEST_CASE("orthonormalise_rows leaves the rows before untouched", "[conformance][subspace]") {
  constexpr std::size_t rank = 67, first = 20, inputs = 131;
  on_each_backend([&](Backend& backend) {
    auto h = uploaded(backend, random_values(rank * inputs, 1));
    const Matrix rows = h.matrix(rank, inputs);
    backend.subspaces().run(OrthonormaliseRows{.h = rows.first_rows(first)});
    const std::vector<float> before = downloaded(backend, h);
    backend.subspaces().run(OrthonormaliseRows{.h = rows, .first = first});
    const std::vector<float> after = downloaded(backend, h);
    CHECK(std::memcmp(before.data(), after.data(), first * inputs * sizeof(float)) == 0);

    double error = 0;
    for (std::size_t i = 0; i < rank; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        double product = 0;
        for (std::size_t k = 0; k < inputs; ++k) {
          product += static_cast<double>(after[i * inputs + k]) * after[j * inputs + k];
        }
        error = std::max(error, std::abs(product - (i == j ? 1.0 : 0.0)));
      }
    }
    CHECK(error < 1e-6);
  });
}

}  // namespace orthospike::testing
