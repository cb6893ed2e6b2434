#include <cmath>
#include <vector>

#include "kernels/neurons.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

struct Shape {
  std::size_t batch, neurons, steps;
};

const Shape shapes[] = {{1, 1, 1}, {1, 131, 6}, {67, 1, 6}, {7, 131, 1}, {7, 131, 20}, {2, 1100, 9}};

/// Neurons of every kind that a network can hold.
std::vector<std::pair<std::string, Lif>> kinds() {
  return {{"leaky, soft reset", {.decay = 0.5F, .threshold = 1.0F}},
          {"leaky, hard reset", {.decay = 0.5F, .threshold = 1.0F, .hard_reset = true}},
          {"not leaky", {.decay = 1.0F, .threshold = 1.0F}},
          {"current-based", {.decay = 0.8F, .threshold = 0.7F, .synapse_decay = 0.6F}},
          {"adaptive",
           {.decay = 0.8F,
            .threshold = 0.7F,
            .synapse_decay = 0.3F,
            .adaptation = 0.2F,
            .adaptation_decay = 0.95F}}};
}

struct Population {
  Population(Backend& backend, const Shape& s)
      : shape(s),
        spikes{uploaded(backend, std::vector<std::uint32_t>(s.steps * s.batch, 9)),
               backend.allocate<std::uint32_t>(s.steps * s.batch * s.neurons), s.steps * s.batch, s.neurons},
        margin(uploaded(backend, std::vector<float>(s.steps * s.batch * s.neurons, not_a_number))) {
    for (auto* array : {&synapse, &potential, &adaptation, &mean_output})
      *array = uploaded(backend, std::vector<float>(s.batch * s.neurons, not_a_number));
  }

  NeuronState<Lif> state() {
    return {synapse.matrix(shape.batch, shape.neurons), potential.matrix(shape.batch, shape.neurons),
            adaptation.matrix(shape.batch, shape.neurons)};
  }
  NeuronOutputs outputs(bool with_margin = true) {
    return {.spikes = spikes.view(),
            .mean_output = mean_output.matrix(shape.batch, shape.neurons),
            .margin = with_margin ? margin.matrix(shape.steps * shape.batch, shape.neurons) : Matrix(),
            .average_current = {},
            .average_output = {}};
  }
  Outcome outcome(Backend& backend) {
    return {{"spikes", exactly(flattened(downloaded_spikes(backend, spikes.view())))},
            {"margin", about(downloaded(backend, margin), 1e-6)},
            {"synapse", about(downloaded(backend, synapse), 1e-6)},
            {"potential", about(downloaded(backend, potential), 1e-6)},
            {"adaptation", about(downloaded(backend, adaptation), 1e-6)},
            {"mean output", about(downloaded(backend, mean_output), 1e-6)}};
  }

  Shape shape;
  SpikeArrays spikes;
  Array<float> synapse, potential, adaptation, mean_output, margin;
};

}  // namespace

TEST_CASE("lif agrees with the reference, spike by spike", "[conformance][lif]") {
  for (const auto& kind : kinds()) {
    const auto& name = kind.first;
    const Lif& neuron = kind.second;
    for (const Shape& s : shapes) {
      INFO(name << ", " << s.batch << " samples, " << s.neurons << " neurons, " << s.steps << " steps");
      for (const bool constant : {true, false}) {
        const std::size_t rows = (constant ? 1 : s.steps) * s.batch;
        check_conformance([&](Backend& backend) {
          Population population(backend, s);
          const auto currents = uploaded(backend, random_values(rows * s.neurons, 1, -0.5F, 1.5F));
          backend.neurons().run(RunNeurons<Lif>{.neuron = neuron,
                                                .steps = s.steps,
                                                .currents = currents.matrix(rows, s.neurons),
                                                .state = population.state(),
                                                .outputs = population.outputs()});
          return population.outcome(backend);
        });
      }
    }
  }
}

TEST_CASE("lif goes on from the state it left", "[conformance][lif]") {
  const Shape s{3, 37, 9};
  const std::size_t element = s.batch * s.neurons;
  for (const auto& kind : kinds()) {
    const auto& name = kind.first;
    const Lif& neuron = kind.second;
    INFO(name);
    on_each_backend([&](Backend& backend) {
      const auto currents = uploaded(backend, random_values(s.steps * element, 2, -0.5F, 1.5F));
      Population whole(backend, s);
      backend.neurons().run(RunNeurons<Lif>{.neuron = neuron,
                                            .steps = s.steps,
                                            .currents = currents.matrix(s.steps * s.batch, s.neurons),
                                            .state = whole.state(),
                                            .outputs = whole.outputs()});
      const auto all = downloaded_spikes(backend, whole.spikes.view());

      Population piece(backend, {s.batch, s.neurons, 3});
      for (std::size_t first = 0; first < s.steps; first += 3) {
        const ConstMatrix part{currents.view().subview(first * element, 3 * element), 3 * s.batch, s.neurons};
        backend.neurons().run(RunNeurons<Lif>{.neuron = neuron,
                                              .steps = 3,
                                              .from_rest = first == 0,
                                              .currents = part,
                                              .state = piece.state(),
                                              .outputs = piece.outputs(false)});
        const auto spikes = downloaded_spikes(backend, piece.spikes.view());
        for (std::size_t row = 0; row < spikes.size(); ++row)
          CHECK(spikes[row] == all[first * s.batch + row]);
      }
      CHECK(downloaded(backend, piece.potential) == downloaded(backend, whole.potential));
      // Margins that nobody asked for are not written.
      CHECK(std::isnan(downloaded(backend, piece.margin)[0]));
    });
  }
}

TEST_CASE("lif follows its equation", "[conformance][lif]") {
  on_each_backend([](Backend& backend) {
    Population one(backend, {1, 1, 4});
    const auto currents = uploaded(backend, std::vector<float>{1.0F, 0.5F, 0.25F, 2.0F});
    backend.neurons().run(RunNeurons<Lif>{
        .neuron = {.decay = 0.5F, .threshold = 1.0F, .adaptation = 0.25F, .adaptation_decay = 0.5F},
        .steps = 4,
        .currents = currents.matrix(4, 1),
        .state = one.state(),
        .outputs = one.outputs()});
    // v: 1 (spike), 0 + 0.5, 0.25 + 0.25, 0.25 + 2 (spike); a before the step: 0, 1, 0.5, 0.25.
    CHECK(downloaded(backend, one.margin) == std::vector<float>{0.0F, -0.75F, -0.625F, 1.1875F});
    CHECK(downloaded(backend, one.potential) == std::vector<float>{1.25F});
    CHECK(downloaded(backend, one.adaptation) == std::vector<float>{1.125F});
    CHECK(downloaded(backend, one.mean_output) == std::vector<float>{0.5F});
  });
}

TEST_CASE("lif_backward agrees with the reference", "[conformance][lif]") {
  for (const auto& kind : kinds()) {
    const auto& name = kind.first;
    const Lif& neuron = kind.second;
    for (const Surrogate surrogate :
         {Surrogate::sigmoid, Surrogate::arctan, Surrogate::fast_sigmoid, Surrogate::triangle}) {
      for (const bool through_time : {true, false}) {
        for (const bool detached : {true, false}) {
          if (!detached && neuron.hard_reset && neuron.adaptation != 0.0F) continue;
          INFO(name << ", surrogate " << static_cast<int>(surrogate) << ", through time " << through_time
                    << ", detached reset " << detached);
          const Shape s{5, 67, 7};
          const std::size_t size = s.steps * s.batch * s.neurons;
          for (const bool constant : {true, false}) {
            check_conformance([&](Backend& backend) {
              const auto margin = uploaded(backend, random_values(size, 1, -1.5F, 1.0F));
              const std::size_t rows = (constant ? 1 : s.steps) * s.batch;
              const auto error = uploaded(backend, random_values(rows * s.neurons, 2));
              auto result = uploaded(backend, std::vector<float>(size, not_a_number));
              backend.neurons().run(
                  NeuronsBackward<Lif>{.neuron = neuron,
                                       .derivative = {.surrogate = surrogate,
                                                      .slope = 2.0F,
                                                      .through_time = through_time,
                                                      .detached_reset = detached},
                                       .steps = s.steps,
                                       .margin = margin.matrix(s.steps * s.batch, s.neurons),
                                       .output_error = error.matrix(rows, s.neurons),
                                       .current_error = result.matrix(s.steps * s.batch, s.neurons)});
              return Outcome{{"error", about(downloaded(backend, result), 1e-5)}};
            });
          }
        }
      }
    }
  }
}

TEST_CASE("lif_backward goes back from the errors of a later step", "[conformance][lif]") {
  const Shape s{3, 37, 9};
  const std::size_t rows = s.steps * s.batch;
  for (const auto& kind : kinds()) {
    const auto& name = kind.first;
    const Lif& neuron = kind.second;
    for (const bool through_time : {true, false}) {
      INFO(name << ", through time " << through_time);
      const SurrogateDerivative derivative{
          .slope = 2.0F, .through_time = through_time, .detached_reset = neuron.hard_reset};
      on_each_backend([&](Backend& backend) {
        const auto margin = uploaded(backend, random_values(rows * s.neurons, 1, -1.5F, 1.0F));
        const auto error = uploaded(backend, random_values(rows * s.neurons, 2));
        auto whole = backend.allocate<float>(rows * s.neurons);
        auto parts = backend.allocate<float>(rows * s.neurons);
        backend.neurons().run(NeuronsBackward<Lif>{.neuron = neuron,
                                                   .derivative = derivative,
                                                   .steps = s.steps,
                                                   .margin = margin.matrix(rows, s.neurons),
                                                   .output_error = error.matrix(rows, s.neurons),
                                                   .current_error = whole.matrix(rows, s.neurons)});
        Array<float> synapse = backend.allocate<float>(s.batch * s.neurons),
                     potential = backend.allocate<float>(s.batch * s.neurons),
                     adaptation = backend.allocate<float>(s.batch * s.neurons);
        const NeuronState<Lif> later{synapse.matrix(s.batch, s.neurons), potential.matrix(s.batch, s.neurons),
                                     adaptation.matrix(s.batch, s.neurons)};
        std::size_t end = rows;
        for (const std::size_t steps : {1U, 5U, 3U}) {
          const std::size_t count = steps * s.batch;
          end -= count;
          backend.neurons().run(
              NeuronsBackward<Lif>{.neuron = neuron,
                                   .derivative = derivative,
                                   .steps = steps,
                                   .margin = margin.matrix(rows, s.neurons).row_range(end, count),
                                   .output_error = error.matrix(rows, s.neurons).row_range(end, count),
                                   .later = later,
                                   .current_error = parts.matrix(rows, s.neurons).row_range(end, count)});
        }
        const auto numbers = [&](const Array<float>& array) {
          const std::vector<float> values = downloaded(backend, array);
          return std::vector<double>(values.begin(), values.end());
        };
        CHECK(difference(numbers(whole), numbers(parts)) < 1e-6);
      });
    }
  }
}

TEST_CASE("lif_backward may write over the errors it reads", "[conformance][lif]") {
  const Shape s{3, 37, 5};
  const std::size_t rows = s.steps * s.batch;
  on_each_backend([&](Backend& backend) {
    const Lif neuron{.decay = 0.5F, .threshold = 1.0F};
    const auto margin = uploaded(backend, random_values(rows * s.neurons, 1));
    auto error = uploaded(backend, random_values(rows * s.neurons, 2));
    auto apart = backend.allocate<float>(rows * s.neurons);
    const auto run = [&](Array<float>& to) {
      backend.neurons().run(NeuronsBackward<Lif>{.neuron = neuron,
                                                 .derivative = {.slope = 4.0F},
                                                 .steps = s.steps,
                                                 .margin = margin.matrix(rows, s.neurons),
                                                 .output_error = error.matrix(rows, s.neurons),
                                                 .current_error = to.matrix(rows, s.neurons)});
    };
    run(apart);
    run(error);
    CHECK(downloaded(backend, error) == downloaded(backend, apart));
  });
}

}  // namespace orthospike::testing
