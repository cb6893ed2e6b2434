// Times single operations at the sizes of the published network, on any device.
//
//   build/tests/operation_benchmark [DEVICE] [THREADS]          for example: operation_benchmark cuda
//
// Queues each operation many times, waits once, and prints the median of several such rounds beside the floor:
// the larger of the bytes that must move (each operand once) at the rate of a large copy and the multiply-adds
// at the rate of a large product, both measured first. What stays in a cache can be faster than that. On a GPU
// a call also costs a launch, which the operation without work (`add` of one element) shows.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/lateral.hpp"
#include "kernels/neurons.hpp"
#include "kernels/optimisers.hpp"
#include "kernels/random_numbers.hpp"
#include "kernels/subspaces.hpp"
#include "sim/connections/convolution.hpp"

namespace {

using namespace orthospike;

constexpr std::size_t batch = 64, steps = 20, hidden = 800;
constexpr std::size_t rows = steps * batch;

/// Seconds a call, median of a few rounds that last some milliseconds each.
double seconds_of(Backend& backend, const std::function<void()>& operation) {
  const auto round = [&](int calls) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) operation();
    backend.synchronise();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / calls;
  };
  const double first = std::min(round(1), round(1));  // the very first may allocate
  const int calls = std::clamp(static_cast<int>(0.01 / first), 1, 1000);
  std::vector<double> seconds;
  for (int i = 0; i < 9; ++i) seconds.push_back(round(calls));
  std::ranges::sort(seconds);
  return seconds[seconds.size() / 2];
}

class Benchmark {
 public:
  explicit Benchmark(Backend& backend) : backend_(backend) {
    constexpr std::size_t large = std::size_t{1} << 26;
    const Array<float> from = backend.allocate<float>(large);
    Array<float> to = backend.allocate<float>(large);
    copy_rate_ =
        2.0 * large * sizeof(float) / seconds_of(backend, [&] { backend.copy(from.view(), to.view()); });
    constexpr std::size_t side = 2048;
    const ConstMatrix factor = from.matrix(side, side);
    const Matrix product = to.matrix(side, side);
    product_rate_ = static_cast<double>(side) * side * side / seconds_of(backend, [&] {
                      backend.dense().run(Multiply{.a = factor, .b = factor, .c = product});
                    });
    fmt::print("{}, {} threads; copy {:.0f} GB/s, product {:.0f} GFLOP/s\n", backend.device(),
               backend.threads(), 1e-9 * copy_rate_, 2e-9 * product_rate_);
    fmt::print("{:<44} {:>10} {:>10} {:>8}\n", "operation", "us", "floor us", "ratio");
  }

  /// elements: floats read or written, each operand once.
  void time(const std::string& name, double elements, double multiply_adds,
            const std::function<void()>& operation) const {
    const double floor = std::max(elements * sizeof(float) / copy_rate_, multiply_adds / product_rate_);
    const double seconds = seconds_of(backend_, operation);
    fmt::print("{:<44} {:>10.2f} {:>10.2f} {:>8.1f}\n", name, 1e6 * seconds, 1e6 * floor, seconds / floor);
    std::fflush(stdout);
  }

 private:
  Backend& backend_;
  double copy_rate_ = 0;
  double product_rate_ = 0;
};

/// An array of uniform random numbers.
Array<float> uniform(Backend& backend, std::size_t size, float low, float high) {
  static std::uint32_t number = 0;
  Array<float> values = backend.allocate<float>(size);
  backend.random_numbers().run(
      FillUniform{.values = values.view(), .low = low, .high = high, .key = {.seed = 1, .stream = number++}});
  return values;
}

void benchmark(Backend& backend) {
  const Benchmark run(backend);
  constexpr double weights = hidden * hidden;

  Array<float> one = uniform(backend, 1, -1, 1);
  run.time("add, one element", 3, 0,
           [&] { backend.elementwise().run(Add{.x = one.view(), .beta = 0.5F, .y = one.view()}); });

  Array<float> x = uniform(backend, batch * hidden, 0, 1);
  Array<float> y = uniform(backend, batch * hidden, 0, 1);
  Array<float> w = uniform(backend, hidden * hidden, -0.05F, 0.05F);
  const Matrix x_matrix = x.matrix(batch, hidden), y_matrix = y.matrix(batch, hidden);
  const Matrix w_matrix = w.matrix(hidden, hidden);
  run.time("multiply, 64x800 by 800x800", weights + 2 * batch * hidden, batch * weights,
           [&] { backend.dense().run(Multiply{.a = x_matrix, .b = w_matrix, .c = y_matrix}); });
  run.time("multiply into weights, 800x64 by 64x800", 2 * weights + 2 * batch * hidden, batch * weights, [&] {
    backend.dense().run(Multiply{
        .alpha = 1e-9F, .a = x_matrix, .transpose_a = true, .b = x_matrix, .beta = 1.0F, .c = w_matrix});
  });

  const LifDsr neuron{.decay = 0.951F, .dt = 0.05F, .tau = 1.0F, .firing_fraction = 0.3F};
  Array<float> threshold = uniform(backend, 1, 0.3F, 0.3F);
  Array<float> currents = uniform(backend, rows * hidden, -1.0F, 1.6F);
  Array<std::uint32_t> counts = backend.allocate<std::uint32_t>(rows);
  Array<std::uint32_t> indices = backend.allocate<std::uint32_t>(rows * hidden);
  Array<float> outputs[4];
  for (auto& output : outputs) output = backend.allocate<float>(batch * hidden);
  const Spikes spikes{counts.view(), indices.view(), rows, hidden};
  const NeuronOutputs done{.spikes = spikes,
                           .mean_output = outputs[2].matrix(batch, hidden),
                           .margin = {},
                           .average_current = outputs[0].matrix(batch, hidden),
                           .average_output = outputs[1].matrix(batch, hidden)};
  const Lif spiking{.decay = 0.8F, .threshold = 0.7F, .synapse_decay = 0.3F};
  Array<float> margin = backend.allocate<float>(rows * hidden),
               errors = backend.allocate<float>(rows * hidden);
  Array<float> states[3];
  for (auto& state : states) state = backend.allocate<float>(batch * hidden);
  run.time("lif, 20x64x800, margins kept", 2 * rows * hidden + 4 * batch * hidden, 0, [&] {
    backend.neurons().run(
        RunNeurons<Lif>{.neuron = spiking,
                        .steps = steps,
                        .currents = currents.matrix(rows, hidden),
                        .state = {states[0].matrix(batch, hidden), states[1].matrix(batch, hidden),
                                  states[2].matrix(batch, hidden)},
                        .outputs = {.spikes = spikes,
                                    .mean_output = outputs[2].matrix(batch, hidden),
                                    .margin = margin.matrix(rows, hidden),
                                    .average_current = {},
                                    .average_output = {}}});
  });
  run.time("neurons_backward of lif, 20x64x800", 3 * rows * hidden, 0, [&] {
    backend.neurons().run(NeuronsBackward<Lif>{.neuron = spiking,
                                               .derivative = {.slope = 4.0F},
                                               .steps = steps,
                                               .margin = margin.matrix(rows, hidden),
                                               .output_error = currents.matrix(rows, hidden),
                                               .current_error = errors.matrix(rows, hidden)});
  });
  run.time("lif_dsr, 20x64x800", rows * hidden + 4 * batch * hidden, 0, [&] {
    backend.neurons().run(RunNeurons<LifDsr>{.neuron = neuron,
                                             .trained = threshold.view(),
                                             .steps = steps,
                                             .currents = currents.matrix(rows, hidden),
                                             .state = {outputs[3].matrix(batch, hidden)},
                                             .outputs = done});
  });
  const std::vector<std::uint32_t> of_rows = backend.download(std::as_const(counts).view());
  const double events = std::accumulate(of_rows.begin(), of_rows.end(), 0.0);
  const Matrix arriving = currents.matrix(rows, hidden);
  for (const bool along_events : {true, false}) {
    // A weight added costs half a multiply-add of a product.
    run.time(
        fmt::format("deliver, {}, {:.1f} % active", along_events ? "events" : "dense",
                    100 * events / (rows * hidden)),
        weights + rows * hidden + events, along_events ? events * hidden / 2 : rows * weights, [&] {
          backend.delivery().run(Deliver{.spikes = spikes,
                                         .weights = w_matrix,
                                         .height = threshold.view(),
                                         .dt = 0.05F,
                                         .form = along_events ? DeliveryForm::events : DeliveryForm::dense,
                                         .crossover = 0.5F,
                                         .currents = arriving});
        });
  }
  Array<float> gradient = uniform(backend, 1, 0, 0);
  run.time("lif_dsr_backward, 64x800", 3 * batch * hidden, 0, [&] {
    backend.neurons().run(AveragesBackward<LifDsr>{.neuron = neuron,
                                                   .trained = threshold.view(),
                                                   .average_current = done.average_current,
                                                   .gradient = y_matrix,
                                                   .trained_gradient = gradient.view()});
  });

  Array<float> h = uniform(backend, 200 * hidden, -0.05F, 0.05F);
  const Matrix subspace = h.matrix(200, hidden);
  run.time(
      "remove_subspace, rank 200, 64x800", 2 * batch * hidden + 200 * hidden, 2.0 * batch * 200 * hidden,
      [&] { backend.subspaces().run(RemoveSubspace{.h = subspace, .x = x_matrix, .residual = y_matrix}); });
  Array<float> velocity = uniform(backend, 200 * hidden, 0, 0);
  Array<float> response = uniform(backend, batch * 200, -1, 1);
  Array<std::uint32_t> lateral_spikes = backend.allocate<std::uint32_t>(batch * 200);
  run.time("quantise, 64x200", 2 * batch * 200, 0,
           [&] { backend.lateral().run(Quantise{.scale = 20.0F, .levels = 40, .values = response.view()}); });
  run.time("spike_signed, 40 steps of 64x200", 3 * batch * 200, 0, [&] {
    backend.lateral().run(
        SpikeSigned{.scale = 20.0F, .steps = 40, .values = response.view(), .spikes = lateral_spikes.view()});
  });
  const HebbianRates step{.learning_rate = 1e-6F, .momentum = 0.9F, .scale = 1e-3F, .clamp = 1.0F};
  run.time("hebbian_step, 200 rows, 64x800", 4 * 200 * hidden + batch * (200 + hidden),
           batch * 200.0 * hidden, [&] {
             backend.subspaces().run(HebbianStep{.rates = step,
                                                 .response = response.matrix(batch, 200),
                                                 .residual = x_matrix,
                                                 .velocity = velocity.matrix(200, hidden),
                                                 .h = subspace});
           });
  run.time("orthonormalise_rows, 200x800", 200 * hidden, 2.0 * 200 * 200 * hidden,
           [&] { backend.subspaces().run(OrthonormaliseRows{.h = subspace}); });

  Array<float> mean = uniform(backend, hidden * hidden, 0, 0),
               square = uniform(backend, hidden * hidden, 0, 0);
  const AdamStep adam{.beta1 = 0.9F,
                      .beta2 = 0.999F,
                      .epsilon = 1e-8F,
                      .mean_correction = 1.0F,
                      .square_correction = 1.0F,
                      .mean = mean.view(),
                      .square = square.view(),
                      .gradient = w.view()};
  run.time("adam_step, 800x800", 6 * weights, 0, [&] { backend.optimisers().run(adam); });
}

/// A convolution of spikes after pooling, and its gradient, along events and as dense products, at several numbers of
/// spikes for each element of its maps.
void benchmark_convolution(Backend& backend, const Window& window, std::size_t channels) {
  constexpr std::size_t pooled = 2, samples = batch;
  const Convolution convolution(window, channels, pooled);
  const std::size_t neurons = convolution.sources();
  Array<float> weights = uniform(backend, window.patch() * channels, -0.05F, 0.05F);
  Array<float> height = uniform(backend, 1, 0.3F, 0.3F);
  Array<float> currents = backend.allocate<float>(samples * convolution.targets());
  Array<float> errors = uniform(backend, samples * convolution.targets(), -0.05F, 0.05F);
  Array<float> expanded = backend.allocate<float>(samples * neurons);
  const Matrix sum = weights.matrix(window.patch(), channels);
  fmt::print("\n{:<34} {:>10} {:>10} {:>8} {:>12} {:>10} {:>8}\n",
             fmt::format("{}x{}x{} to {}, spikes an element", window.map.height, window.map.width,
                         window.map.channels, channels),
             "events us", "dense us", "ratio", "gradient us", "dense us", "ratio");
  for (const std::size_t every : {200, 80, 40, 20, 13, 10, 8}) {
    const auto count = static_cast<std::uint32_t>(neurons / every);
    std::vector<std::uint32_t> indices(samples * neurons, 0);
    for (std::size_t row = 0; row < samples; ++row) {
      for (std::uint32_t k = 0; k < count; ++k)
        indices[row * neurons + k] = static_cast<std::uint32_t>(k * every + (row * 31 + k * 7) % every);
    }
    Array<std::uint32_t> of_rows = backend.allocate<std::uint32_t>(samples);
    Array<std::uint32_t> of_spikes = backend.allocate<std::uint32_t>(indices.size());
    backend.upload(std::span<const std::uint32_t>(std::vector<std::uint32_t>(samples, count)),
                   of_rows.view());
    backend.upload(std::span<const std::uint32_t>(indices), of_spikes.view());
    const Spikes spikes = {of_rows.view(), of_spikes.view(), samples, neurons};
    const auto delivery = [&](DeliveryForm form) {
      return seconds_of(backend, [&] {
        convolution.deliver(backend, std::as_const(weights).matrix(window.patch(), channels),
                            {.spikes = spikes, .height = height.view(), .form = form},
                            currents.matrix(samples, convolution.targets()));
      });
    };
    const auto gradient = [&](const Presynaptic& trace) {
      return seconds_of(backend, [&] {
        convolution.add_gradient(backend, trace, std::as_const(errors).matrix(samples, convolution.targets()),
                                 0.0F, sum);
      });
    };
    const Matrix values = expanded.matrix(samples, neurons);
    backend.delivery().run(ExpandSpikes{.spikes = spikes, .height = height.view(), .x = values});
    const double events = delivery(DeliveryForm::events), dense = delivery(DeliveryForm::dense);
    const double of_events = gradient({spikes, height.view(), 1.0F}), of_values = gradient(values);
    fmt::print("{:<34.3f} {:>10.0f} {:>10.0f} {:>8.2f} {:>12.0f} {:>10.0f} {:>8.2f}\n",
               static_cast<double>(count) / static_cast<double>(window.map.size()), 1e6 * events, 1e6 * dense,
               events / dense, 1e6 * of_events, 1e6 * of_values, of_events / of_values);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto backend =
        make_backend(argc > 1 ? argv[1] : "auto", argc > 2 ? std::stoi(argv[2]) : 0,
                     [](const std::string& warning) { fmt::print(stderr, "{}\n", warning); });
    benchmark(*backend);
    // The second and third layer of the network published for CIFAR-100.
    benchmark_convolution(*backend, {{16, 16, 64}, 3, 1, 1}, 128);
    benchmark_convolution(*backend, {{8, 8, 128}, 3, 1, 1}, 256);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "operation_benchmark: {}\n", error.what());
    return 1;
  }
}
