#include <algorithm>
#include <cmath>
#include <iterator>
#include <vector>

#include "kernels/neurons.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

const LifDsr published{.decay = std::exp(-0.05F), .dt = 0.05F, .tau = 1.0F, .firing_fraction = 0.3F};

/// Potentials are computed with fused multiply-adds, which vector units without them cannot do in one
/// rounding.
bool has_fused_multiply_add() {
#if defined(__x86_64__) || defined(__i386__)
  return __builtin_cpu_supports("fma");
#else
  return true;
#endif
}

struct Shape {
  std::size_t batch, neurons, steps;
};

Outcome run(Backend& backend, const LifDsr& neuron, float threshold, const Shape& s, std::size_t current_rows,
            const std::vector<float>& values) {
  const auto currents = uploaded(backend, values);
  const auto height = uploaded(backend, std::vector<float>{threshold});
  const std::size_t rows = s.steps * s.batch;
  // Counts of an earlier batch must not matter.
  SpikeArrays spikes{uploaded(backend, std::vector<std::uint32_t>(rows, 9)),
                     backend.allocate<std::uint32_t>(rows * s.neurons), rows, s.neurons};
  const auto output = [&] {
    return uploaded(backend, std::vector<float>(s.batch * s.neurons, not_a_number));
  };
  Array<float> average_current = output(), average_output = output(), mean_output = output(),
               membrane = output();
  Array<float> membranes = uploaded(backend, std::vector<float>(rows * s.neurons, not_a_number));
  const auto matrix = [&](Array<float>& array) { return array.matrix(s.batch, s.neurons); };
  backend.neurons().run(RunNeurons<LifDsr>{.neuron = neuron,
                                           .trained = height.view(),
                                           .steps = s.steps,
                                           .currents = currents.matrix(current_rows, s.neurons),
                                           .state = {matrix(membrane)},
                                           .each_state = {membranes.matrix(rows, s.neurons)},
                                           .outputs = {.spikes = spikes.view(),
                                                       .mean_output = matrix(mean_output),
                                                       .margin = {},
                                                       .average_current = matrix(average_current),
                                                       .average_output = matrix(average_output)}});
  const double rounding = has_fused_multiply_add() ? 0.0 : 1e-5;
  return {{"spikes", exactly(flattened(downloaded_spikes(backend, spikes.view())))},
          {"membrane", about(downloaded(backend, membrane), rounding)},
          {"membrane after each step", about(downloaded(backend, membranes), rounding)},
          {"average current", about(downloaded(backend, average_current), 2e-6)},
          {"average output", about(downloaded(backend, average_output), 2e-6)},
          {"mean output", about(downloaded(backend, mean_output), 2e-6)}};
}

std::size_t spike_count(const Outcome& outcome, const Shape& s) {
  return outcome.at("spikes").values.size() - s.steps * s.batch;
}

}  // namespace

TEST_CASE("lif_dsr agrees with the reference, spike by spike", "[conformance][lif_dsr]") {
  for (const Shape& s : {Shape{1, 1, 1},
                         {1, 1, 40},
                         {1, 131, 20},
                         {67, 1, 20},
                         {7, 131, 1},
                         {7, 131, 20},
                         {9, 67, 33},
                         {2, 1100, 9}}) {
    INFO(s.batch << " samples, " << s.neurons << " neurons, " << s.steps << " steps");
    check_conformance([&](Backend& backend) {
      return run(backend, published, 0.3F, s, s.batch, random_values(s.batch * s.neurons, 1, -2.0F, 7.0F));
    });
    check_conformance([&](Backend& backend) {
      return run(backend, published, 0.3F, s, s.steps * s.batch,
                 random_values(s.steps * s.batch * s.neurons, 2, -4.0F, 8.0F));
    });
  }
}

TEST_CASE("lif_dsr agrees with the reference when nobody and when everybody spikes",
          "[conformance][lif_dsr]") {
  const Shape s{7, 131, 20};
  const auto runs = [&](float current) {
    return [&s, current](Backend& backend) {
      return run(backend, published, 0.3F, s, s.batch, std::vector<float>(s.batch * s.neurons, current));
    };
  };
  check_conformance(runs(-1.0F));
  check_conformance(runs(0.0F));
  check_conformance(runs(1000.0F));
  const auto reference = make_backend("reference", 1);
  CHECK(spike_count(runs(-1.0F)(*reference), s) == 0);
  CHECK(spike_count(runs(1000.0F)(*reference), s) == s.steps * s.batch * s.neurons);
}

TEST_CASE("a potential equal to the firing level makes a spike", "[conformance][lif_dsr]") {
  // 0.5 · 0 + (1 - 0.5) · 1 is 0.5 · 1 without rounding.
  const LifDsr neuron{.decay = 0.5F, .dt = 1.0F, .tau = 1.0F, .firing_fraction = 0.5F};
  const Shape s{1, 35, 1};
  const auto runs = [&](Backend& backend) {
    std::vector<float> currents(s.neurons, 1.0F);
    currents[0] = currents[34] = std::nextafter(1.0F, 0.0F);
    return run(backend, neuron, 1.0F, s, 1, currents);
  };
  CHECK(spike_count(runs(*make_backend("reference", 1)), s) == 33);
  check_conformance(runs);
}

TEST_CASE("lif_dsr_backward agrees with the reference", "[conformance][lif_dsr]") {
  struct Size {
    std::size_t batch, neurons;
  };
  for (const Size& size : {Size{1, 1}, {1, 131}, {67, 1}, {67, 131}, {131, 301}, {3, 133}, {0, 131}}) {
    INFO(size.batch << " samples, " << size.neurons << " neurons");
    check_conformance([&](Backend& backend) {
      // Saturation is at 0.25 · 2 / 0.125 = 4, without rounding.
      const LifDsr neuron{.decay = 0.9F, .dt = 0.125F, .tau = 2.0F, .firing_fraction = 0.3F};
      const std::size_t elements = size.batch * size.neurons;
      std::vector<float> currents = random_values(elements, 1, -2.0F, 6.0F);
      // At both edges neither the current's derivative nor the threshold's counts. The last elements may be
      // handled apart from whole vectors.
      if (elements > 8) {
        const float edges[] = {0.0F, 4.0F, std::nextafter(4.0F, 5.0F), std::nextafter(4.0F, 3.0F)};
        std::copy(std::begin(edges), std::end(edges), currents.begin());
        std::copy(std::begin(edges), std::end(edges), currents.end() - 4);
      }
      const auto average_current = uploaded(backend, currents);
      const auto threshold = uploaded(backend, std::vector<float>{0.25F});
      auto gradient = uploaded(backend, random_values(elements, 2));
      auto threshold_gradient = uploaded(backend, std::vector<float>{not_a_number});
      backend.neurons().run(
          AveragesBackward<LifDsr>{.neuron = neuron,
                                   .trained = threshold.view(),
                                   .scale = 1.7F,
                                   .average_current = average_current.matrix(size.batch, size.neurons),
                                   .gradient = gradient.matrix(size.batch, size.neurons),
                                   .trained_gradient = threshold_gradient.view()});
      return Outcome{{"gradient", about(downloaded(backend, gradient), 1e-6)},
                     {"threshold gradient", about(downloaded(backend, threshold_gradient), 1e-4)}};
    });
  }
}

TEST_CASE("the threshold's gradient has the same bits with any number of threads", "[conformance][lif_dsr]") {
  // Numbers of all sizes that cancel: the order of summation decides over the digits that are left.
  constexpr std::size_t size = 100'000;
  std::vector<float> values = random_values(size, 1);
  for (std::size_t i = 0; i < size; ++i) values[i] = std::ldexp(values[i], static_cast<int>(i % 81) - 40);
  for (std::size_t i = 0; i < size / 2; ++i) values[size - 1 - i] = -values[i];
  const auto threshold_gradient = [&](const std::string& name, int threads) {
    const auto backend = backend_of(name, threads);
    const auto current = uploaded(*backend, std::vector<float>(size, 2.0F));
    const auto threshold = uploaded(*backend, std::vector<float>{1.0F});
    auto gradient = uploaded(*backend, values);
    Array<float> sum = backend->allocate<float>(1);
    const LifDsr neuron{.decay = 0.5F, .dt = 1.0F, .tau = 1.0F, .firing_fraction = 1.0F};
    backend->neurons().run(AveragesBackward<LifDsr>{.neuron = neuron,
                                                    .trained = threshold.view(),
                                                    .average_current = current.matrix(1, size),
                                                    .gradient = gradient.matrix(1, size),
                                                    .trained_gradient = sum.view()});
    return downloaded(*backend, sum);
  };
  for (const std::string& name : backend_names()) {
    if (backend_if_present(name, 1) == nullptr) continue;
    INFO("back end " << name);
    CHECK(threshold_gradient(name, 2) == threshold_gradient(name, 1));
    CHECK(threshold_gradient(name, 3) == threshold_gradient(name, 1));
  }
}

}  // namespace orthospike::testing
