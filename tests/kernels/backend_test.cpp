#include "kernels/backend.hpp"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

constexpr Transpose no = Transpose::no;
constexpr Transpose yes = Transpose::yes;

/// Views into one array: the checks look at shapes only, and must refuse before an element is touched.
struct Shapes {
  std::unique_ptr<Backend> backend = make_backend("reference", 1);
  Array<float> memory = backend->allocate<float>(1000);
  Array<std::uint8_t> bytes = backend->allocate<std::uint8_t>(1000);
  Array<std::uint32_t> numbers = backend->allocate<std::uint32_t>(1000);
  Array<std::uint64_t> totals = backend->allocate<std::uint64_t>(2);
  Array<double> losses = backend->allocate<double>(2);

  Matrix matrix(std::size_t rows, std::size_t cols) { return memory.matrix(rows, cols); }
  View<float> floats(std::size_t count) { return memory.view().subview(0, count); }
  View<const std::uint8_t> labels(std::size_t count) { return bytes.view().subview(0, count); }
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
  CHECK_THROWS_AS(s.backend->add(1.0F, s.floats(2), 1.0F, s.floats(3)), std::invalid_argument);
}

TEST_CASE("products of shapes that do not chain are refused", "[backend]") {
  Shapes s;
  const auto multiply = [&](ConstMatrix a, Transpose transpose_a, ConstMatrix b, Transpose transpose_b,
                            Matrix c) { s.backend->multiply(1.0F, a, transpose_a, b, transpose_b, 0.0F, c); };
  CHECK_NOTHROW(multiply(s.matrix(2, 3), no, s.matrix(3, 4), no, s.matrix(2, 4)));
  CHECK_THROWS_AS(multiply(s.matrix(2, 3), no, s.matrix(4, 4), no, s.matrix(2, 4)), std::invalid_argument);
  CHECK_THROWS_AS(multiply(s.matrix(2, 3), no, s.matrix(3, 4), no, s.matrix(3, 4)), std::invalid_argument);
  CHECK_THROWS_AS(multiply(s.matrix(2, 3), no, s.matrix(3, 4), no, s.matrix(2, 3)), std::invalid_argument);
  CHECK_THROWS_AS(multiply(s.matrix(2, 3), yes, s.matrix(3, 4), no, s.matrix(2, 4)), std::invalid_argument);
  CHECK_THROWS_AS(multiply(s.matrix(2, 3), no, s.matrix(3, 4), yes, s.matrix(2, 4)), std::invalid_argument);
  CHECK_THROWS_AS(
      s.backend->multiply(1.0F, s.matrix(2, 3), no, s.matrix(3, 4), no, 1.0F, s.matrix(4, 2), s.matrix(2, 4)),
      std::invalid_argument);
}

TEST_CASE("images that do not fit are refused", "[backend]") {
  Shapes s;
  const auto encode = [&](std::size_t images, std::size_t samples, std::size_t pixels, Matrix currents) {
    s.backend->encode_images(s.labels(images), s.integers(samples), s.integers(pixels), 0.0F, 1.0F, currents);
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
    s.backend->deliver(spikes, weights, s.floats(heights), 1.0F, Delivery::events, 0.0F, currents);
  };
  CHECK_NOTHROW(deliver(s.spikes(2, 3), s.matrix(3, 4), 1, s.matrix(2, 4)));
  CHECK_THROWS_AS(deliver(s.spikes(2, 3), s.matrix(4, 4), 1, s.matrix(2, 4)), std::invalid_argument);
  CHECK_THROWS_AS(deliver(s.spikes(2, 3), s.matrix(3, 4), 1, s.matrix(3, 4)), std::invalid_argument);
  CHECK_THROWS_AS(deliver(s.spikes(2, 3), s.matrix(3, 4), 1, s.matrix(2, 3)), std::invalid_argument);
  CHECK_THROWS_AS(deliver(s.spikes(2, 3), s.matrix(3, 4), 2, s.matrix(2, 4)), std::invalid_argument);
  CHECK_THROWS_AS(s.backend->count_spikes(s.integers(3), s.totals.view()), std::invalid_argument);
}

TEST_CASE("a population whose outputs do not fit is refused", "[backend]") {
  Shapes s;
  const Matrix good = s.matrix(2, 3), bad = s.matrix(3, 2);
  const auto run = [&](std::size_t thresholds, std::size_t steps, ConstMatrix currents,
                       const LifDsrOutputs& outputs) {
    const LifDsr neuron{.decay = 0.5F, .dt = 1.0F, .tau = 1.0F, .firing_fraction = 1.0F};
    s.backend->lif_dsr(neuron, s.floats(thresholds), steps, currents, outputs);
  };
  const LifDsrOutputs fitting{s.spikes(8, 3), good, good, good, good};
  CHECK_NOTHROW(run(1, 4, s.matrix(2, 3), fitting));
  CHECK_NOTHROW(run(1, 4, s.matrix(8, 3), fitting));
  CHECK_THROWS_AS(run(2, 4, s.matrix(2, 3), fitting), std::invalid_argument);
  CHECK_THROWS_AS(run(1, 0, s.matrix(2, 3), {s.spikes(0, 3), good, good, good, good}), std::invalid_argument);
  CHECK_THROWS_AS(run(1, 4, s.matrix(4, 3), fitting), std::invalid_argument);
  CHECK_THROWS_AS(run(1, 4, s.matrix(8, 2), fitting), std::invalid_argument);
  CHECK_THROWS_AS(run(1, 4, s.matrix(8, 3), {s.spikes(2, 3), good, good, good, good}), std::invalid_argument);
  CHECK_THROWS_AS(run(1, 4, s.matrix(8, 3), {s.spikes(8, 4), good, good, good, good}), std::invalid_argument);
  CHECK_THROWS_AS(run(1, 4, s.matrix(8, 3), {s.spikes(8, 3), bad, good, good, good}), std::invalid_argument);
  CHECK_THROWS_AS(run(1, 4, s.matrix(8, 3), {s.spikes(8, 3), good, bad, good, good}), std::invalid_argument);
  CHECK_THROWS_AS(run(1, 4, s.matrix(8, 3), {s.spikes(8, 3), good, good, bad, good}), std::invalid_argument);
  CHECK_THROWS_AS(run(1, 4, s.matrix(8, 3), {s.spikes(8, 3), good, good, good, bad}), std::invalid_argument);

  const auto backward = [&](std::size_t thresholds, std::size_t gradients, ConstMatrix current,
                            Matrix gradient) {
    s.backend->lif_dsr_backward({}, s.floats(thresholds), 1.0F, current, gradient, s.floats(gradients));
  };
  CHECK_THROWS_AS(backward(1, 1, bad, good), std::invalid_argument);
  CHECK_THROWS_AS(backward(2, 1, good, good), std::invalid_argument);
  CHECK_THROWS_AS(backward(1, 0, good, good), std::invalid_argument);
}

TEST_CASE("logits, labels and sums that do not fit are refused", "[backend]") {
  Shapes s;
  const auto loss = [&](ConstMatrix logits, std::size_t samples, Matrix gradient, std::size_t losses,
                        std::size_t correct) {
    s.backend->cross_entropy(logits, s.labels(9), s.integers(samples), 1.0F, gradient,
                             s.losses.view().subview(0, losses), s.integers(correct));
  };
  CHECK_NOTHROW(loss(s.matrix(2, 3), 2, s.matrix(2, 3), 1, 1));
  CHECK_THROWS_AS(loss(s.matrix(2, 3), 2, s.matrix(3, 2), 1, 1), std::invalid_argument);
  CHECK_THROWS_AS(loss(s.matrix(2, 3), 3, s.matrix(2, 3), 1, 1), std::invalid_argument);
  CHECK_THROWS_AS(loss(s.matrix(2, 3), 2, s.matrix(2, 3), 2, 1), std::invalid_argument);
  CHECK_THROWS_AS(loss(s.matrix(2, 3), 2, s.matrix(2, 3), 1, 0), std::invalid_argument);
}

TEST_CASE("subspaces that do not fit are refused", "[backend]") {
  Shapes s;
  CHECK_THROWS_AS(s.backend->remove_subspace(s.matrix(2, 4), s.matrix(5, 3), s.matrix(5, 3)),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->remove_subspace(s.matrix(2, 3), s.matrix(5, 3), s.matrix(4, 3)),
                  std::invalid_argument);
  CHECK_NOTHROW(s.backend->spike_signed(1.0F, 2, s.floats(3), s.integers(3)));
  CHECK_THROWS_AS(s.backend->spike_signed(1.0F, 2, s.floats(3), s.integers(2)), std::invalid_argument);
  CHECK_THROWS_AS(s.backend->spike_signed(0.0F, 2, s.floats(3), s.integers(3)), std::invalid_argument);
  CHECK_THROWS_AS(s.backend->spike_signed(1.0F, 0, s.floats(3), s.integers(3)), std::invalid_argument);
  CHECK_NOTHROW(s.backend->settle_by_spikes(1.0F, 2, s.matrix(3, 3), s.matrix(2, 3), s.matrix(2, 3)));
  CHECK_THROWS_AS(s.backend->settle_by_spikes(0.0F, 2, s.matrix(3, 3), s.matrix(2, 3), s.matrix(2, 3)),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->settle_by_spikes(1.0F, 2, s.matrix(3, 2), s.matrix(2, 2), s.matrix(2, 2)),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->settle_by_spikes(1.0F, 2, s.matrix(3, 3), s.matrix(2, 2), s.matrix(2, 2)),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->settle_by_spikes(1.0F, 2, s.matrix(3, 3), s.matrix(2, 3), s.matrix(3, 3)),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->quantise(0.0F, 2, s.floats(3)), std::invalid_argument);
  CHECK_THROWS_AS(s.backend->quantise(1.0F, 0, s.floats(3)), std::invalid_argument);
  CHECK_THROWS_AS(s.backend->hebbian_step({}, s.matrix(3, 2), s.matrix(2, 3), s.matrix(2, 3)),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->hebbian_step({}, s.matrix(2, 3), s.matrix(3, 2), s.matrix(2, 3)),
                  std::invalid_argument);
  CHECK_THROWS_AS(s.backend->hebbian_step({}, s.matrix(2, 3), s.matrix(2, 3), s.matrix(3, 2)),
                  std::invalid_argument);
  const auto step = [&](ConstMatrix response, ConstMatrix residual, Matrix velocity, Matrix h) {
    s.backend->hebbian_step({}, response, residual, velocity, h);
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
  CHECK_THROWS_AS(s.backend->orthonormalise_rows(s.matrix(4, 3), 0), std::invalid_argument);
  CHECK_THROWS_AS(s.backend->orthonormalise_rows(s.matrix(2, 3), 3), std::invalid_argument);
}

TEST_CASE("moments that do not fit are refused", "[backend]") {
  Shapes s;
  CHECK_THROWS_AS(s.backend->adam_step({}, s.floats(2), s.floats(3), s.floats(3)), std::invalid_argument);
  CHECK_THROWS_AS(s.backend->adam_step({}, s.floats(3), s.floats(2), s.floats(3)), std::invalid_argument);
}

TEST_CASE("multiply-adds are counted from shapes", "[backend]") {
  on_each_backend([](Backend& backend) {
    Array<float> a = backend.allocate<float>(21), b = backend.allocate<float>(35);
    Array<float> c = backend.allocate<float>(21), d = backend.allocate<float>(14);
    CHECK(backend.multiply_adds() == 0);
    backend.multiply(1.0F, a.matrix(3, 2), yes, b.matrix(3, 5), no, 0.0F, c.matrix(2, 5));
    CHECK(backend.multiply_adds() == 2 * 5 * 3);
    backend.remove_subspace(a.matrix(2, 7), b.matrix(3, 7), c.matrix(3, 7));
    CHECK(backend.multiply_adds() == 30 + 2 * 3 * 2 * 7);
    backend.hebbian_step({}, a.matrix(5, 2), b.matrix(5, 7), c.matrix(2, 7), d.matrix(2, 7));
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
