#include "kernels/backend.hpp"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/encoding.hpp"
#include "kernels/lateral.hpp"
#include "kernels/loss.hpp"
#include "kernels/neurons.hpp"
#include "kernels/optimisers.hpp"
#include "kernels/subspaces.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

constexpr bool no = false;
constexpr bool yes = true;

/// Views into one array: the checks look at shapes only, and must refuse before an element is touched.
struct Shapes {
  std::unique_ptr<Backend> backend = make_backend("reference", 1);
  Array<float> memory = backend->allocate<float>(1000);
  Array<std::uint8_t> bytes = backend->allocate<std::uint8_t>(1000);
  Array<std::uint32_t> numbers = backend->allocate<std::uint32_t>(1000);
  Array<std::uint64_t> totals = backend->allocate<std::uint64_t>(2);
  Array<double> losses = backend->allocate<double>(2);
  Array<Target> sought = backend->allocate<Target>(10);

  Matrix matrix(std::size_t rows, std::size_t cols) { return memory.matrix(rows, cols); }
  View<float> floats(std::size_t count) { return memory.view().subview(0, count); }
  View<const std::uint8_t> values(std::size_t count) { return bytes.view().subview(0, count); }
  View<const Target> targets(std::size_t count) { return sought.view().subview(0, count); }
  View<std::uint32_t> integers(std::size_t count) { return numbers.view().subview(0, count); }
  Spikes spikes(std::size_t rows, std::size_t neurons) {
    return {integers(rows), integers(rows * neurons), rows, neurons};
  }
};

}  // namespace

TEST_CASE("transfers between different sizes are refused", "[backend]") {
  Shapes s;
  std::vector<float> host(3);
  CHECK_THROWS_AS(s.backend->upload(std::span<const float>(host), s.floats(4)), std::invalid_argument);
  CHECK_THROWS_AS(s.backend->download(View<const float>(s.floats(2)), std::span<float>(host)),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->copy(View<const float>(s.floats(2)), s.floats(3)), std::invalid_argument);
  CHECK_THROWS_AS(s.backend->elementwise().run(Add{.x = s.floats(2), .y = s.floats(3)}),
                  std::invalid_argument);
}

TEST_CASE("products of shapes that do not chain are refused", "[backend]") {
  Shapes s;
  const auto multiply = [&](ConstMatrix a, bool transpose_a, ConstMatrix b, bool transpose_b, Matrix c) {
    s.backend->dense().run(
        Multiply{.a = a, .transpose_a = transpose_a, .b = b, .transpose_b = transpose_b, .c = c});
  };
  CHECK_NOTHROW(multiply(s.matrix(2, 3), no, s.matrix(3, 4), no, s.matrix(2, 4)));
  CHECK_THROWS_AS(multiply(s.matrix(2, 3), no, s.matrix(4, 4), no, s.matrix(2, 4)), std::invalid_argument);
  CHECK_THROWS_AS(multiply(s.matrix(2, 3), no, s.matrix(3, 4), no, s.matrix(3, 4)), std::invalid_argument);
  CHECK_THROWS_AS(multiply(s.matrix(2, 3), no, s.matrix(3, 4), no, s.matrix(2, 3)), std::invalid_argument);
  CHECK_THROWS_AS(multiply(s.matrix(2, 3), yes, s.matrix(3, 4), no, s.matrix(2, 4)), std::invalid_argument);
  CHECK_THROWS_AS(multiply(s.matrix(2, 3), no, s.matrix(3, 4), yes, s.matrix(2, 4)), std::invalid_argument);
  CHECK_THROWS_AS(s.backend->dense().run(Multiply{.a = s.matrix(2, 3),
                                                  .b = s.matrix(3, 4),
                                                  .beta = 1.0F,
                                                  .addend = s.matrix(4, 2),
                                                  .c = s.matrix(2, 4)}),
                  std::invalid_argument);
}

TEST_CASE("images that do not fit are refused", "[backend]") {
  Shapes s;
  const auto encode = [&](std::size_t images, std::size_t samples, std::size_t pixels, Matrix currents) {
    s.backend->encoding().run(EncodeImages{.images = s.values(images),
                                           .samples = s.integers(samples),
                                           .pixel_order = s.integers(pixels),
                                           .mean = 0.0F,
                                           .deviation = 1.0F,
                                           .currents = currents});
  };
  CHECK_NOTHROW(encode(6, 2, 3, s.matrix(2, 3)));
  CHECK_THROWS_AS(encode(6, 3, 3, s.matrix(2, 3)), std::invalid_argument);
  CHECK_THROWS_AS(encode(6, 2, 2, s.matrix(2, 3)), std::invalid_argument);
  CHECK_THROWS_AS(encode(7, 2, 3, s.matrix(2, 3)), std::invalid_argument);
  CHECK_THROWS_AS(encode(6, 2, 0, s.matrix(2, 0)), std::invalid_argument);
}

TEST_CASE("spikes that do not fit are refused", "[backend]") {
  Shapes s;
  const auto deliver = [&](Spikes spikes, ConstMatrix weights, std::size_t heights, Matrix currents) {
    s.backend->delivery().run(Deliver{.spikes = spikes,
                                      .weights = weights,
                                      .height = s.floats(heights),
                                      .form = DeliveryForm::events,
                                      .crossover = 0.0F,
                                      .currents = currents});
  };
  CHECK_NOTHROW(deliver(s.spikes(2, 3), s.matrix(3, 4), 1, s.matrix(2, 4)));
  CHECK_THROWS_AS(deliver(s.spikes(2, 3), s.matrix(4, 4), 1, s.matrix(2, 4)), std::invalid_argument);
  CHECK_THROWS_AS(deliver(s.spikes(2, 3), s.matrix(3, 4), 1, s.matrix(3, 4)), std::invalid_argument);
  CHECK_THROWS_AS(deliver(s.spikes(2, 3), s.matrix(3, 4), 1, s.matrix(2, 3)), std::invalid_argument);
  CHECK_THROWS_AS(deliver(s.spikes(2, 3), s.matrix(3, 4), 2, s.matrix(2, 4)), std::invalid_argument);
  CHECK_THROWS_AS(s.backend->delivery().run(CountSpikes{.counts = s.integers(3), .total = s.totals.view()}),
                  std::invalid_argument);
}

TEST_CASE("a population whose outputs do not fit is refused", "[backend]") {
  Shapes s;
  const Matrix good = s.matrix(2, 3), bad = s.matrix(3, 2);
  const auto run = [&](std::size_t thresholds, std::size_t steps, ConstMatrix currents, Matrix state,
                       const NeuronOutputs& outputs) {
    const LifDsr neuron{.decay = 0.5F, .dt = 1.0F, .tau = 1.0F, .firing_fraction = 1.0F};
    s.backend->neurons().run(RunNeurons<LifDsr>{.neuron = neuron,
                                                .trained = s.floats(thresholds),
                                                .steps = steps,
                                                .currents = currents,
                                                .state = {state},
                                                .outputs = outputs});
  };
  const NeuronOutputs fitting{s.spikes(8, 3), good, {}, good, good};
  CHECK_NOTHROW(run(1, 4, s.matrix(2, 3), good, fitting));
  CHECK_NOTHROW(run(1, 4, s.matrix(8, 3), good, fitting));
  CHECK_THROWS_AS(run(2, 4, s.matrix(2, 3), good, fitting), std::invalid_argument);
  CHECK_THROWS_AS(run(1, 0, s.matrix(2, 3), good, {s.spikes(0, 3), good, {}, good, good}),
                  std::invalid_argument);
  CHECK_THROWS_AS(run(1, 4, s.matrix(4, 3), good, fitting), std::invalid_argument);
  CHECK_THROWS_AS(run(1, 4, s.matrix(8, 2), good, fitting), std::invalid_argument);
  CHECK_THROWS_AS(run(1, 4, s.matrix(8, 3), good, {s.spikes(2, 3), good, {}, good, good}),
                  std::invalid_argument);
  CHECK_THROWS_AS(run(1, 4, s.matrix(8, 3), good, {s.spikes(8, 4), good, {}, good, good}),
                  std::invalid_argument);
  CHECK_THROWS_AS(run(1, 4, s.matrix(8, 3), good, {s.spikes(8, 3), good, {}, bad, good}),
                  std::invalid_argument);
  CHECK_THROWS_AS(run(1, 4, s.matrix(8, 3), good, {s.spikes(8, 3), good, {}, good, bad}),
                  std::invalid_argument);
  CHECK_THROWS_AS(run(1, 4, s.matrix(8, 3), good, {s.spikes(8, 3), bad, {}, good, good}),
                  std::invalid_argument);
  CHECK_THROWS_AS(run(1, 4, s.matrix(8, 3), bad, {s.spikes(8, 3), good, {}, good, good}),
                  std::invalid_argument);

  const auto backward = [&](std::size_t thresholds, std::size_t gradients, ConstMatrix current,
                            Matrix gradient) {
    s.backend->neurons().run(AveragesBackward<LifDsr>{.neuron = {},
                                                      .trained = s.floats(thresholds),
                                                      .average_current = current,
                                                      .gradient = gradient,
                                                      .trained_gradient = s.floats(gradients)});
  };
  CHECK_THROWS_AS(backward(1, 1, bad, good), std::invalid_argument);
  CHECK_THROWS_AS(backward(2, 1, good, good), std::invalid_argument);
  CHECK_THROWS_AS(backward(1, 0, good, good), std::invalid_argument);
}

TEST_CASE("logits, targets and sums that do not fit are refused", "[backend]") {
  Shapes s;
  const auto loss = [&](ConstMatrix logits, std::size_t samples, Matrix gradient, std::size_t losses,
                        std::size_t correct) {
    s.backend->loss().run(CrossEntropy{.logits = logits,
                                       .targets = s.targets(samples),
                                       .logit_gradient = gradient,
                                       .loss = s.losses.view().subview(0, losses),
                                       .correct = s.integers(correct)});
  };
  CHECK_NOTHROW(loss(s.matrix(2, 3), 2, s.matrix(2, 3), 1, 1));
  CHECK_THROWS_AS(loss(s.matrix(2, 3), 2, s.matrix(3, 2), 1, 1), std::invalid_argument);
  CHECK_THROWS_AS(loss(s.matrix(2, 3), 3, s.matrix(2, 3), 1, 1), std::invalid_argument);
  CHECK_THROWS_AS(loss(s.matrix(2, 3), 2, s.matrix(2, 3), 2, 1), std::invalid_argument);
  CHECK_THROWS_AS(loss(s.matrix(2, 3), 2, s.matrix(2, 3), 1, 0), std::invalid_argument);
}

TEST_CASE("subspaces that do not fit are refused", "[backend]") {
  Shapes s;
  CHECK_THROWS_AS(s.backend->subspaces().run(
                      RemoveSubspace{.h = s.matrix(2, 4), .x = s.matrix(5, 3), .residual = s.matrix(5, 3)}),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->subspaces().run(
                      RemoveSubspace{.h = s.matrix(2, 3), .x = s.matrix(5, 3), .residual = s.matrix(4, 3)}),
                  std::invalid_argument);
  CHECK_NOTHROW(s.backend->lateral().run(
      SpikeSigned{.scale = 1.0F, .steps = 2, .values = s.floats(3), .spikes = s.integers(3)}));
  CHECK_THROWS_AS(s.backend->lateral().run(
                      SpikeSigned{.scale = 1.0F, .steps = 2, .values = s.floats(3), .spikes = s.integers(2)}),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->lateral().run(
                      SpikeSigned{.scale = 0.0F, .steps = 2, .values = s.floats(3), .spikes = s.integers(3)}),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->lateral().run(
                      SpikeSigned{.scale = 1.0F, .steps = 0, .values = s.floats(3), .spikes = s.integers(3)}),
                  std::invalid_argument);
  CHECK_NOTHROW(s.backend->lateral().run(SettleBySpikes{.height = 1.0F,
                                                        .sweeps = 2,
                                                        .inhibition = s.matrix(3, 3),
                                                        .potential = s.matrix(2, 3),
                                                        .activity = s.matrix(2, 3)}));
  CHECK_THROWS_AS(s.backend->lateral().run(SettleBySpikes{.height = 0.0F,
                                                          .sweeps = 2,
                                                          .inhibition = s.matrix(3, 3),
                                                          .potential = s.matrix(2, 3),
                                                          .activity = s.matrix(2, 3)}),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->lateral().run(SettleBySpikes{.height = 1.0F,
                                                          .sweeps = 2,
                                                          .inhibition = s.matrix(3, 2),
                                                          .potential = s.matrix(2, 2),
                                                          .activity = s.matrix(2, 2)}),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->lateral().run(SettleBySpikes{.height = 1.0F,
                                                          .sweeps = 2,
                                                          .inhibition = s.matrix(3, 3),
                                                          .potential = s.matrix(2, 2),
                                                          .activity = s.matrix(2, 2)}),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->lateral().run(SettleBySpikes{.height = 1.0F,
                                                          .sweeps = 2,
                                                          .inhibition = s.matrix(3, 3),
                                                          .potential = s.matrix(2, 3),
                                                          .activity = s.matrix(3, 3)}),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->lateral().run(Quantise{.scale = 0.0F, .levels = 2, .values = s.floats(3)}),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->lateral().run(Quantise{.scale = 1.0F, .levels = 0, .values = s.floats(3)}),
                  std::invalid_argument);
  CHECK_THROWS_AS(
      s.backend->subspaces().run(FollowCorrelation{
          .rates = {}, .correlation = s.matrix(3, 2), .velocity = s.matrix(2, 3), .h = s.matrix(2, 3)}),
      std::invalid_argument);
  CHECK_THROWS_AS(
      s.backend->subspaces().run(FollowCorrelation{
          .rates = {}, .correlation = s.matrix(2, 3), .velocity = s.matrix(3, 2), .h = s.matrix(2, 3)}),
      std::invalid_argument);
  CHECK_THROWS_AS(
      s.backend->subspaces().run(FollowCorrelation{
          .rates = {}, .correlation = s.matrix(2, 3), .velocity = s.matrix(2, 3), .h = s.matrix(3, 2)}),
      std::invalid_argument);
  const auto step = [&](ConstMatrix response, ConstMatrix residual, Matrix velocity, Matrix h) {
    s.backend->subspaces().run(
        HebbianStep{.rates = {}, .response = response, .residual = residual, .velocity = velocity, .h = h});
  };
  CHECK_NOTHROW(step(s.matrix(5, 2), s.matrix(5, 3), s.matrix(2, 3), s.matrix(2, 3)));
  CHECK_THROWS_AS(step(s.matrix(4, 2), s.matrix(5, 3), s.matrix(2, 3), s.matrix(2, 3)),
                  std::invalid_argument);
  CHECK_THROWS_AS(step(s.matrix(5, 3), s.matrix(5, 3), s.matrix(2, 3), s.matrix(2, 3)),
                  std::invalid_argument);
  CHECK_THROWS_AS(step(s.matrix(5, 2), s.matrix(5, 2), s.matrix(2, 3), s.matrix(2, 3)),
                  std::invalid_argument);
  CHECK_THROWS_AS(step(s.matrix(5, 2), s.matrix(5, 3), s.matrix(3, 2), s.matrix(2, 3)),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->subspaces().run(OrthonormaliseRows{.h = s.matrix(4, 3)}), std::invalid_argument);
  CHECK_THROWS_AS(s.backend->subspaces().run(OrthonormaliseRows{.h = s.matrix(2, 3), .first = 3}),
                  std::invalid_argument);
}

TEST_CASE("moments that do not fit are refused", "[backend]") {
  Shapes s;
  const auto step = [&](std::size_t mean, std::size_t square) {
    s.backend->optimisers().run(
        AdamStep{.mean = s.floats(mean), .square = s.floats(square), .gradient = s.floats(3)});
  };
  CHECK_NOTHROW(step(3, 3));
  CHECK_THROWS_AS(step(2, 3), std::invalid_argument);
  CHECK_THROWS_AS(step(3, 2), std::invalid_argument);
}

TEST_CASE("multiply-adds are counted from shapes", "[backend]") {
  on_each_backend([](Backend& backend) {
    Array<float> a = backend.allocate<float>(21), b = backend.allocate<float>(35);
    Array<float> c = backend.allocate<float>(21), d = backend.allocate<float>(14);
    CHECK(backend.multiply_adds() == 0);
    backend.dense().run(
        Multiply{.a = a.matrix(3, 2), .transpose_a = true, .b = b.matrix(3, 5), .c = c.matrix(2, 5)});
    CHECK(backend.multiply_adds() == 2 * 5 * 3);
    backend.subspaces().run(
        RemoveSubspace{.h = a.matrix(2, 7), .x = b.matrix(3, 7), .residual = c.matrix(3, 7)});
    CHECK(backend.multiply_adds() == 30 + 2 * 3 * 2 * 7);
    backend.subspaces().run(HebbianStep{.rates = {},
                                        .response = a.matrix(5, 2),
                                        .residual = b.matrix(5, 7),
                                        .velocity = c.matrix(2, 7),
                                        .h = d.matrix(2, 7)});
    CHECK(backend.multiply_adds() == 30 + 84 + 5 * 2 * 7);
  });
}

TEST_CASE("back ends are made by name", "[backend]") {
  const std::vector<std::string> names = backend_names();
  CHECK(std::count(names.begin(), names.end(), "reference") == 1);
  CHECK(std::count(names.begin(), names.end(), "cpu") == 1);
  on_each_backend([&](Backend& backend) {
    CHECK(std::count(names.begin(), names.end(), backend.name()) == 1);
    CHECK_FALSE(backend.device().empty());
  });
  for (const std::string& name : names) {
    if (const auto backend = backend_if_present(name, 1)) CHECK(backend->name() == name);
  }
  // `auto` is a back end for work, never the one for tests.
  CHECK(make_backend("auto", 0)->name() != "reference");
  CHECK_THROWS_AS(make_backend("abacus", 1), ConfigError);
  CHECK_THROWS_AS(make_backend("", 1), ConfigError);
}

}  // namespace orthospike::testing
