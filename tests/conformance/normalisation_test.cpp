#include <cmath>
#include <stdexcept>
#include <vector>

#include "kernels/normalisation.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {

namespace {

struct Shape {
  std::size_t rows, channels;
};

/// Around a warp, a block of rows and a piece of the work.
constexpr Shape shapes[] = {{1, 1}, {2, 33}, {67, 3}, {700, 64}, {1340, 131}, {70001, 5}, {9, 9000}};

}  // namespace

TEST_CASE("measure_channels agrees with the reference, far from 0 too", "[conformance][normalisation]") {
  for (const auto& [rows, channels] : shapes) {
    INFO(rows << " rows of " << channels);
    for (const float low : {-1.0F, 100.0F}) {
      check_conformance([&](Backend& backend) {
        const auto x = uploaded(backend, random_values(rows * channels, 1, low, low + 2));
        auto mean = uploaded(backend, std::vector<float>(channels, not_a_number));
        auto variance = uploaded(backend, std::vector<float>(channels, not_a_number));
        backend.normalisation().run(
            MeasureChannels{.x = x.matrix(rows, channels), .mean = mean.view(), .variance = variance.view()});
        return Outcome{{"mean", about(downloaded(backend, mean), 1e-6)},
                       {"variance", about(downloaded(backend, variance), 1e-4)}};
      });
    }
  }
}

TEST_CASE("normalise_channels agrees with the reference, in place too", "[conformance][normalisation]") {
  for (const auto& [rows, channels] : shapes) {
    INFO(rows << " rows of " << channels);
    check_conformance([&](Backend& backend) {
      auto x = uploaded(backend, random_values(rows * channels, 1));
      const auto mean = uploaded(backend, random_values(channels, 2));
      const auto variance = uploaded(backend, random_values(channels, 3, 0.1F, 2.0F));
      const auto gain = uploaded(backend, random_values(channels, 4));
      const auto offset = uploaded(backend, random_values(channels, 5));
      auto normalised = uploaded(backend, std::vector<float>(rows * channels, not_a_number));
      auto y = uploaded(backend, std::vector<float>(rows * channels, not_a_number));
      NormaliseChannels operation{.x = x.matrix(rows, channels),
                                  .mean = mean.view(),
                                  .variance = variance.view(),
                                  .epsilon = 1e-3F,
                                  .gain = gain.view(),
                                  .offset = offset.view(),
                                  .normalised = normalised.matrix(rows, channels),
                                  .y = y.matrix(rows, channels)};
      backend.normalisation().run(operation);
      operation.normalised = {};
      operation.y = x.matrix(rows, channels);
      backend.normalisation().run(operation);
      return Outcome{{"normalised", about(downloaded(backend, normalised), 1e-6)},
                     {"y", about(downloaded(backend, y), 1e-6)},
                     {"in place", about(downloaded(backend, x), 1e-6)}};
    });
  }
}

TEST_CASE("errors go back through normalisation as in the reference", "[conformance][normalisation]") {
  struct Repeats {
    std::size_t errors, normalised;
  };
  for (const auto& [rows, channels] : shapes) {
    for (const Repeats& repeats : {Repeats{1, 1}, {3, 1}, {1, 3}}) {
      INFO(rows << " rows of " << channels << ", " << repeats.errors << " and " << repeats.normalised
                << " times");
      check_conformance([&](Backend& backend) {
        const std::size_t all = rows * repeats.errors * repeats.normalised;
        const auto errors = uploaded(backend, random_values(all / repeats.errors * channels, 1));
        const auto normalised = uploaded(backend, random_values(all / repeats.normalised * channels, 2));
        const auto variance = uploaded(backend, random_values(channels, 3, 0.1F, 2.0F));
        const auto gain = uploaded(backend, random_values(channels, 4));
        auto error = uploaded(backend, std::vector<float>(channels, not_a_number));
        auto product = uploaded(backend, std::vector<float>(channels, not_a_number));
        const ConstMatrix of_errors = errors.matrix(all / repeats.errors, channels),
                          of_values = normalised.matrix(all / repeats.normalised, channels);
        backend.normalisation().run(SumChannels{.scale = 0.5F,
                                                .errors = of_errors,
                                                .normalised = of_values,
                                                .error = error.view(),
                                                .product = product.view()});
        auto before = uploaded(backend, std::vector<float>(all * channels, not_a_number));
        NormalisationBackward operation{.scale = 0.5F,
                                        .errors = of_errors,
                                        .normalised = of_values,
                                        .variance = variance.view(),
                                        .epsilon = 1e-3F,
                                        .gain = gain.view(),
                                        .error = std::as_const(error).view(),
                                        .product = std::as_const(product).view(),
                                        .x_errors = before.matrix(all, channels)};
        backend.normalisation().run(operation);
        Outcome outcome{{"error", about(downloaded(backend, error), 1e-5)},
                        {"product", about(downloaded(backend, product), 1e-5)},
                        {"by x", about(downloaded(backend, before), 1e-5)}};
        if (repeats.errors > 1) return outcome;
        auto fixed = uploaded(backend, downloaded(backend, errors));
        backend.normalisation().run(
            NormalisationBackward{.scale = 0.5F,
                                  .errors = std::as_const(fixed).matrix(all, channels),
                                  .variance = variance.view(),
                                  .epsilon = 1e-3F,
                                  .gain = gain.view(),
                                  .x_errors = fixed.matrix(all, channels)});
        outcome.emplace("by x of given statistics", about(downloaded(backend, fixed), 1e-6));
        return outcome;
      });
    }
  }
}

TEST_CASE("errors by what is normalised are the numerical derivative", "[conformance][normalisation]") {
  constexpr std::size_t rows = 7, channels = 3;
  constexpr float epsilon = 0.01F;
  const std::vector<float> gain{0.5F, -2, 1}, offset{0.1F, 0.2F, -0.3F};
  std::vector<float> x = random_values(rows * channels, 1, 1, 3);
  const std::vector<float> errors = random_values(rows * channels, 2);
  on_each_backend([&](Backend& backend) {
    auto mean = backend.allocate<float>(channels), variance = backend.allocate<float>(channels);
    auto normalised = backend.allocate<float>(rows * channels);
    auto y = backend.allocate<float>(rows * channels);
    const auto gains = uploaded(backend, gain), offsets = uploaded(backend, offset);
    // ⟨y, errors⟩ in double, of which errors are the derivative by y.
    const auto loss = [&] {
      const auto values = uploaded(backend, x);
      backend.normalisation().run(MeasureChannels{
          .x = values.matrix(rows, channels), .mean = mean.view(), .variance = variance.view()});
      backend.normalisation().run(NormaliseChannels{.x = values.matrix(rows, channels),
                                                    .mean = std::as_const(mean).view(),
                                                    .variance = std::as_const(variance).view(),
                                                    .epsilon = epsilon,
                                                    .gain = gains.view(),
                                                    .offset = offsets.view(),
                                                    .normalised = normalised.matrix(rows, channels),
                                                    .y = y.matrix(rows, channels)});
      const std::vector<float> result = downloaded(backend, y);
      double sum = 0;
      for (std::size_t i = 0; i < result.size(); ++i) sum += static_cast<double>(result[i]) * errors[i];
      return sum;
    };
    loss();
    const auto by_y = uploaded(backend, errors);
    auto error = backend.allocate<float>(channels), product = backend.allocate<float>(channels);
    auto by_x = backend.allocate<float>(rows * channels);
    backend.normalisation().run(SumChannels{.errors = by_y.matrix(rows, channels),
                                            .normalised = std::as_const(normalised).matrix(rows, channels),
                                            .error = error.view(),
                                            .product = product.view()});
    backend.normalisation().run(
        NormalisationBackward{.errors = by_y.matrix(rows, channels),
                              .normalised = std::as_const(normalised).matrix(rows, channels),
                              .variance = std::as_const(variance).view(),
                              .epsilon = epsilon,
                              .gain = gains.view(),
                              .error = std::as_const(error).view(),
                              .product = std::as_const(product).view(),
                              .x_errors = by_x.matrix(rows, channels)});
    const std::vector<float> found = downloaded(backend, by_x);
    for (std::size_t i = 0; i < x.size(); ++i) {
      constexpr float step = 1.0F / 64;
      const float before = x[i];
      x[i] = before + step;
      const double above = loss();
      x[i] = before - step;
      const double below = loss();
      x[i] = before;
      CHECK(found[i] == Approx((above - below) / (2 * step)).margin(2e-3));
    }
  });
}

TEST_CASE("normalisation refuses what does not belong together", "[conformance][normalisation]") {
  const auto backend = make_backend("reference", 1);
  auto x = backend->allocate<float>(12), channel = backend->allocate<float>(3);
  const auto values = std::as_const(channel).view();
  CHECK_THROWS_AS(backend->normalisation().run(MeasureChannels{
                      .x = x.matrix(3, 4), .mean = channel.view(), .variance = channel.view()}),
                  std::invalid_argument);
  CHECK_THROWS_AS(backend->normalisation().run(NormaliseChannels{.x = x.matrix(4, 3),
                                                                 .mean = values,
                                                                 .variance = values,
                                                                 .gain = values,
                                                                 .offset = values,
                                                                 .y = x.matrix(3, 3)}),
                  std::invalid_argument);
  CHECK_THROWS_AS(backend->normalisation().run(SumChannels{.errors = std::as_const(x).matrix(4, 3),
                                                           .normalised = std::as_const(x).matrix(3, 3),
                                                           .error = channel.view(),
                                                           .product = channel.view()}),
                  std::invalid_argument);
  CHECK_THROWS_AS(
      backend->normalisation().run(NormalisationBackward{.errors = std::as_const(x).matrix(4, 3),
                                                         .normalised = std::as_const(x).matrix(4, 3),
                                                         .variance = values,
                                                         .gain = values,
                                                         .x_errors = x.matrix(4, 3)}),
      std::invalid_argument);
}

}  // namespace orthospike::testing
