// Each operation of the reference back end once, on numbers that can be checked by hand.

#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/encoding.hpp"
#include "kernels/loss.hpp"
#include "kernels/neurons.hpp"
#include "kernels/random_numbers.hpp"
#include "kernels/reference/reference_backend.hpp"
#include "kernels/subspaces.hpp"

#include <cmath>
#include <vector>

#include "kernels/optimisers.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

using Floats = std::vector<float>;

void check_close(const Floats& actual, const Floats& expected) {
  REQUIRE(actual.size() == expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    INFO("element " << i);
    CHECK(actual[i] == Approx(expected[i]).margin(1e-6));
  }
}

}  // namespace

TEST_CASE("reference multiply", "[reference]") {
  ReferenceBackend backend;
  // a = ⎡1 2 3⎤   b = ⎡1 0⎤   a b = ⎡ 7 5⎤
  //     ⎣4 5 6⎦       ⎢0 1⎥         ⎣16 11⎦
  //                   ⎣2 1⎦
  const auto a = uploaded(backend, Floats{1, 2, 3, 4, 5, 6});
  const auto a_transposed = uploaded(backend, Floats{1, 4, 2, 5, 3, 6});
  const auto b = uploaded(backend, Floats{1, 0, 0, 1, 2, 1});
  const auto b_transposed = uploaded(backend, Floats{1, 0, 2, 0, 1, 1});
  auto c = uploaded(backend, Floats(4, not_a_number));
  const Floats product = {7, 5, 16, 11};

  backend.dense().run(Multiply{.a = a.matrix(2, 3), .b = b.matrix(3, 2), .c = c.matrix(2, 2)});
  CHECK(downloaded(backend, c) == product);
  backend.dense().run(Multiply{
      .a = a_transposed.matrix(3, 2), .transpose_a = true, .b = b.matrix(3, 2), .c = c.matrix(2, 2)});
  CHECK(downloaded(backend, c) == product);
  backend.dense().run(Multiply{
      .a = a.matrix(2, 3), .b = b_transposed.matrix(2, 3), .transpose_b = true, .c = c.matrix(2, 2)});
  CHECK(downloaded(backend, c) == product);
  // 2 a b + 10 c
  backend.dense().run(Multiply{.alpha = 2.0F,
                               .a = a_transposed.matrix(3, 2),
                               .transpose_a = true,
                               .b = b_transposed.matrix(2, 3),
                               .transpose_b = true,
                               .beta = 10.0F,
                               .c = c.matrix(2, 2)});
  CHECK(downloaded(backend, c) == Floats{84, 60, 192, 132});
  // -a b + 2 addend
  const auto addend = uploaded(backend, Floats{1, 2, 3, 4});
  backend.dense().run(Multiply{.alpha = -1.0F,
                               .a = a.matrix(2, 3),
                               .b = b.matrix(3, 2),
                               .beta = 2.0F,
                               .addend = addend.matrix(2, 2),
                               .c = c.matrix(2, 2)});
  CHECK(downloaded(backend, c) == Floats{-5, -1, -10, -3});
  CHECK(downloaded(backend, addend) == Floats{1, 2, 3, 4});
}

TEST_CASE("reference add and raise_to", "[reference]") {
  ReferenceBackend backend;
  const auto x = uploaded(backend, Floats{1, 2, 3});
  auto y = uploaded(backend, Floats{10, 20, 30});
  backend.elementwise().run(Add{.alpha = 2.0F, .x = x.view(), .beta = -0.5F, .y = y.view()});
  CHECK(downloaded(backend, y) == Floats{-3, -6, -9});
  backend.elementwise().run(RaiseTo{.bound = -6.0F, .values = y.view()});
  CHECK(downloaded(backend, y) == Floats{-3, -6, -6});
}

TEST_CASE("reference encode_images", "[reference]") {
  ReferenceBackend backend;
  const auto images = uploaded(backend, std::vector<std::uint8_t>{0, 51, 102, 153, 204, 255});
  const auto samples = uploaded(backend, std::vector<std::uint32_t>{1, 0, 1});
  const auto order = uploaded(backend, std::vector<std::uint32_t>{2, 0, 1});
  Array<float> currents = backend.allocate<float>(9);
  // Brightness 0, 0.2 … 1; less 0.2; over 0.4.
  backend.encoding().run(EncodeImages{.images = images.view(),
                                      .samples = samples.view(),
                                      .pixel_order = order.view(),
                                      .mean = 0.2F,
                                      .deviation = 0.4F,
                                      .currents = currents.matrix(3, 3)});
  check_close(downloaded(backend, currents), {2, 1, 1.5F, 0.5F, -0.5F, 0, 2, 1, 1.5F});
}

TEST_CASE("reference deliver", "[reference]") {
  ReferenceBackend backend;
  const auto weights = uploaded(backend, Floats{1, 10, 2, 20, 4, 40});
  const auto height = uploaded(backend, Floats{0.5F});
  SpikeArrays spikes = uploaded_spikes(backend, {{0, 2}, {}, {1}}, 3);
  auto currents = uploaded(backend, Floats(6, not_a_number));
  backend.delivery().run(Deliver{.spikes = spikes.view(),
                                 .weights = weights.matrix(3, 2),
                                 .height = height.view(),
                                 .dt = 0.25F,
                                 .form = DeliveryForm::events,
                                 .crossover = 0.0F,
                                 .currents = currents.matrix(3, 2)});
  CHECK(downloaded(backend, currents) == Floats{10, 100, 0, 0, 4, 40});
}

TEST_CASE("reference lif_dsr", "[reference]") {
  ReferenceBackend backend;
  // Two samples of one neuron, three steps; fires at 1, loses 2; averaging weights 1/4, 1/2, 1 over 7/4.
  const LifDsr neuron{.decay = 0.5F, .dt = 0.5F, .tau = 1.0F, .firing_fraction = 0.5F};
  const auto threshold = uploaded(backend, Floats{2});
  // Sample 0: I = 4, 0, 7:  u = 2 → fires → 0;   0;       3.5 → fires → 1.5
  // Sample 1: I = 1, 1, 1:  u = 0.5;             0.75;    0.875
  const auto currents = uploaded(backend, Floats{4, 1, 0, 1, 7, 1});
  SpikeArrays spikes{backend.allocate<std::uint32_t>(6), backend.allocate<std::uint32_t>(6), 6, 1};
  Array<float> average_current = backend.allocate<float>(2), average_output = backend.allocate<float>(2),
               mean_output = backend.allocate<float>(2), membrane = backend.allocate<float>(2);
  backend.neurons().run(RunNeurons<LifDsr>{.neuron = neuron,
                                           .trained = threshold.view(),
                                           .steps = 3,
                                           .currents = currents.matrix(6, 1),
                                           .state = {membrane.matrix(2, 1)},
                                           .outputs = {.spikes = spikes.view(),
                                                       .mean_output = mean_output.matrix(2, 1),
                                                       .margin = {},
                                                       .average_current = average_current.matrix(2, 1),
                                                       .average_output = average_output.matrix(2, 1)}});
  CHECK(downloaded_spikes(backend, spikes.view()) == EventLists{{0}, {}, {}, {}, {0}, {}});
  CHECK(downloaded(backend, membrane) == Floats{1.5F, 0.875F});
  check_close(downloaded(backend, average_current), {(4 * 0.25F + 7) / 1.75F, 1});
  // A spike is 2 / 0.5 = 4 high.
  check_close(downloaded(backend, average_output), {4 * (0.25F + 1) / 1.75F, 0});
  check_close(downloaded(backend, mean_output), {4 * 2 / 3.0F, 0});

  // The same current in every step: u = 1.5 → fires → -0.5, 1.25 → fires → -0.75, 1.125 → fires → -0.875.
  const auto constant = uploaded(backend, Floats{3, 1});
  backend.neurons().run(RunNeurons<LifDsr>{.neuron = neuron,
                                           .trained = threshold.view(),
                                           .steps = 3,
                                           .currents = constant.matrix(2, 1),
                                           .state = {membrane.matrix(2, 1)},
                                           .outputs = {.spikes = spikes.view(),
                                                       .mean_output = mean_output.matrix(2, 1),
                                                       .margin = {},
                                                       .average_current = average_current.matrix(2, 1),
                                                       .average_output = average_output.matrix(2, 1)}});
  CHECK(downloaded_spikes(backend, spikes.view()) == EventLists{{0}, {}, {0}, {}, {0}, {}});
  CHECK(downloaded(backend, membrane) == Floats{-0.875F, 0.875F});
}

TEST_CASE("reference lif_dsr_backward", "[reference]") {
  ReferenceBackend backend;
  const LifDsr neuron{.decay = 0.5F, .dt = 0.5F, .tau = 2.0F, .firing_fraction = 0.5F};
  const auto threshold = uploaded(backend, Floats{1});  // saturates at 1 · 2 / 0.5 = 4
  const auto average_current = uploaded(backend, Floats{-1, 0, 1, 4, 5, 6});
  auto gradient = uploaded(backend, Floats{1, 2, 3, 4, 5, 6});
  Array<float> threshold_gradient = backend.allocate<float>(1);
  backend.neurons().run(AveragesBackward<LifDsr>{.neuron = neuron,
                                                 .trained = threshold.view(),
                                                 .scale = 10.0F,
                                                 .average_current = average_current.matrix(2, 3),
                                                 .gradient = gradient.matrix(2, 3),
                                                 .trained_gradient = threshold_gradient.view()});
  CHECK(downloaded(backend, gradient) == Floats{0, 0, 15, 0, 0, 0});
  CHECK(downloaded(backend, threshold_gradient) == Floats{0.5F * (50 + 60)});
}

TEST_CASE("reference count_spikes", "[reference]") {
  ReferenceBackend backend;
  const auto counts = uploaded(backend, std::vector<std::uint32_t>{3, 0, 0xffffffff, 1});
  auto total = uploaded(backend, std::vector<std::uint64_t>{10});
  backend.delivery().run(CountSpikes{.counts = counts.view(), .total = total.view()});
  CHECK(downloaded(backend, total) == std::vector<std::uint64_t>{0x100000000 + 13});
}

TEST_CASE("reference cross_entropy", "[reference]") {
  ReferenceBackend backend;
  // Softmax of (ln 1, ln 2, ln 5) is (1, 2, 5) / 8.
  const auto ln = [](double x) { return static_cast<float>(std::log(x)); };
  const auto logits = uploaded(backend, Floats{ln(1), ln(2), ln(5), 0, 0, 0});
  const auto targets = uploaded(backend, std::vector<Target>{{2, 0, 2}, {1, 0, 2}});
  Array<float> gradient = backend.allocate<float>(6);
  auto loss = uploaded(backend, std::vector<double>{1});
  auto correct = uploaded(backend, std::vector<std::uint32_t>{1});
  backend.loss().run(CrossEntropy{.logits = logits.matrix(2, 3),
                                  .targets = targets.view(),
                                  .logit_gradient = gradient.matrix(2, 3),
                                  .loss = loss.view(),
                                  .correct = correct.view()});
  check_close(downloaded(backend, gradient),
              {1 / 16.0F, 2 / 16.0F, -3 / 16.0F, 1 / 6.0F, -2 / 6.0F, 1 / 6.0F});
  CHECK(downloaded(backend, loss)[0] == Approx(1 + std::log(8.0 / 5.0) + std::log(3.0)));
  CHECK(downloaded(backend, correct)[0] == 1 + 1);  // among the three equals the first is not label 1
}

TEST_CASE("reference remove_subspace", "[reference]") {
  ReferenceBackend backend;
  // Orthonormal rows: what is left is the third coordinate.
  const auto h = uploaded(backend, Floats{0.6F, 0.8F, 0, -0.8F, 0.6F, 0});
  auto x = uploaded(backend, Floats{1, 2, 3, 5, 0, -1});
  backend.subspaces().run(
      RemoveSubspace{.h = h.matrix(2, 3), .x = x.matrix(2, 3), .residual = x.matrix(2, 3)});
  check_close(downloaded(backend, x), {0, 0, 3, 0, 0, -1});
  // A row of length 2 removes four times the component: 1 - 4 of it is left.
  const auto doubled = uploaded(backend, Floats{2, 0, 0});
  const auto y = uploaded(backend, Floats{1, 2, 3});
  Array<float> residual = backend.allocate<float>(3);
  backend.subspaces().run(
      RemoveSubspace{.h = doubled.matrix(1, 3), .x = y.matrix(1, 3), .residual = residual.matrix(1, 3)});
  CHECK(downloaded(backend, residual) == Floats{-3, 2, 3});
}

TEST_CASE("reference hebbian_step", "[reference]") {
  ReferenceBackend backend;
  const HebbianRates step{.learning_rate = 0.5F, .momentum = 0.75F, .scale = 2.0F, .clamp = 8.0F};
  const auto correlation = uploaded(backend, Floats{1, -3, 10, -10});
  auto velocity = uploaded(backend, Floats{4, 4, 4, 4});
  auto h = uploaded(backend, Floats{1, 1, 1, 1});
  // Scaled and clamped: 2, -6, 8, -8. Three quarters of 4 and one quarter of that: 3.5, 1.5, 5, 1.
  backend.subspaces().run(FollowCorrelation{.rates = step,
                                            .correlation = correlation.matrix(2, 2),
                                            .velocity = velocity.matrix(2, 2),
                                            .h = h.matrix(2, 2)});
  CHECK(downloaded(backend, velocity) == Floats{3.5F, 1.5F, 5, 1});
  CHECK(downloaded(backend, h) == Floats{2.75F, 1.75F, 3.5F, 1.5F});

  // responseᵀ residual = (1 0; 2 1)ᵀ (5 -2; -2 -0.5) = (1 -3; -2 -0.5)
  const auto response = uploaded(backend, Floats{1, 0, 2, 1});
  const auto residual = uploaded(backend, Floats{5, -2, -2, -0.5F});
  velocity = uploaded(backend, Floats{4, 4, 4, 4});
  h = uploaded(backend, Floats{1, 1, 1, 1});
  backend.subspaces().run(HebbianStep{.rates = step,
                                      .response = response.matrix(2, 2),
                                      .residual = residual.matrix(2, 2),
                                      .velocity = velocity.matrix(2, 2),
                                      .h = h.matrix(2, 2)});
  CHECK(downloaded(backend, velocity) == Floats{3.5F, 1.5F, 2, 2.75F});
  CHECK(downloaded(backend, h) == Floats{2.75F, 1.75F, 2, 2.375F});
}

TEST_CASE("reference orthonormalise_rows", "[reference]") {
  ReferenceBackend backend;
  auto h = uploaded(backend, Floats{3, 4, 0, 5, 0, 0, 1, 2, -3});
  backend.subspaces().run(OrthonormaliseRows{.h = h.matrix(3, 3)});
  // (5, 0, 0) less 3 · (0.6, 0.8, 0) is (3.2, -2.4, 0), of length 4.
  check_close(downloaded(backend, h), {0.6F, 0.8F, 0, 0.8F, -0.6F, 0, 0, 0, -1});
}

TEST_CASE("reference adam_step", "[reference]") {
  ReferenceBackend backend;
  auto mean = uploaded(backend, Floats{0, 4});
  auto square = uploaded(backend, Floats{0, 0.25F});
  auto gradient = uploaded(backend, Floats{4, -0.5F});
  backend.optimisers().run(AdamStep{.beta1 = 0.75F,
                                    .beta2 = 0.5F,
                                    .epsilon = 0.5F,
                                    .mean_correction = 4.0F,
                                    .square_correction = 2.0F,
                                    .mean = mean.view(),
                                    .square = square.view(),
                                    .gradient = gradient.view()});
  CHECK(downloaded(backend, mean) == Floats{1, 2.875F});
  CHECK(downloaded(backend, square) == Floats{8, 0.25F});
  check_close(downloaded(backend, gradient), {4 / 4.5F, 11.5F / (std::sqrt(0.5F) + 0.5F)});
}

TEST_CASE("reference fill_uniform and fill_normal", "[reference]") {
  ReferenceBackend backend;
  const RandomKey zero{0, RandomPurpose{0}, 0};  // first words 6627e8d5 e169c58d bc57ac4c 9b00dbd8
  Array<float> values = backend.allocate<float>(2);
  backend.random_numbers().run(FillUniform{.values = values.view(), .low = 0.0F, .high = 2.0F, .key = zero});
  check_close(downloaded(backend, values), {2 * 0x6627e8p-24F, 2 * 0xe169c5p-24F});
  backend.random_numbers().run(FillNormal{.values = values.view(), .key = zero});
  const auto normal = [](double first, double second) {
    return static_cast<float>(std::sqrt(-2 * std::log(1 - first)) * std::cos(2 * std::acos(-1.0) * second));
  };
  check_close(downloaded(backend, values),
              {normal(0x6627e8p-24, 0xe169c5p-24), normal(0xbc57acp-24, 0x9b00dbp-24)});
}

}  // namespace orthospike::testing
