#pragma once

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "kernels/neurons.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {

/// Constants of neurons of every kind that a model has, and what the kinds are called.
template <class Model>
using NeuronKinds = std::vector<std::pair<std::string, Model>>;

struct PopulationShape {
  std::size_t batch, neurons, steps;
};

/// What a run of a model whose spikes are not averaged reads and leaves.
template <class Model>
struct TestedPopulation {
  TestedPopulation(Backend& backend, const PopulationShape& s)
      : shape(s),
        spikes{uploaded(backend, std::vector<std::uint32_t>(s.steps * s.batch, 9)),
               backend.allocate<std::uint32_t>(s.steps * s.batch * s.neurons), s.steps * s.batch, s.neurons},
        mean_output(uploaded(backend, std::vector<float>(s.batch * s.neurons, not_a_number))),
        margin(uploaded(backend, std::vector<float>(s.steps * s.batch * s.neurons, not_a_number))) {
    for (Array<float>& field : state)
      field = uploaded(backend, std::vector<float>(s.batch * s.neurons, not_a_number));
    for (Array<float>& field : each_state)
      field = uploaded(backend, std::vector<float>(s.steps * s.batch * s.neurons, not_a_number));
  }

  NeuronState<Model> fields(std::array<Array<float>, state_size<Model>>& arrays, std::size_t rows) {
    NeuronState<Model> result;
    std::ranges::transform(arrays, result.begin(),
                           [&](Array<float>& field) { return field.matrix(rows, shape.neurons); });
    return result;
  }
  /// currents: [steps·batch × neurons] or [batch × neurons]
  void run(Backend& backend, const Model& neuron, ConstMatrix currents, bool from_rest = true,
           bool all_kept = true) {
    backend.neurons().run(RunNeurons<Model>{
        .neuron = neuron,
        .steps = shape.steps,
        .from_rest = from_rest,
        .currents = currents,
        .state = fields(state, shape.batch),
        .each_state = all_kept ? fields(each_state, shape.steps * shape.batch) : NeuronState<Model>(),
        .outputs = {.spikes = spikes.view(),
                    .mean_output = mean_output.matrix(shape.batch, shape.neurons),
                    .margin = all_kept ? margin.matrix(shape.steps * shape.batch, shape.neurons) : Matrix(),
                    .average_current = {},
                    .average_output = {}}});
  }
  Outcome outcome(Backend& backend) {
    Outcome result{{"spikes", exactly(flattened(downloaded_spikes(backend, spikes.view())))},
                   {"margin", about(downloaded(backend, margin), 1e-6)},
                   {"mean output", about(downloaded(backend, mean_output), 1e-6)}};
    for (std::size_t i = 0; i < state.size(); ++i) {
      result[Model::state[i]] = about(downloaded(backend, state[i]), 1e-6);
      result[std::string(Model::state[i]) + " after each step"] =
          about(downloaded(backend, each_state[i]), 1e-6);
    }
    return result;
  }

  PopulationShape shape;
  SpikeArrays spikes;
  std::array<Array<float>, state_size<Model>> state, each_state;
  Array<float> mean_output, margin;
};

/// That steps agree with the reference on every back end, spike by spike.
template <class Model>
void check_steps(const NeuronKinds<Model>& kinds) {
  for (const auto& [name, neuron] : kinds) {
    for (const PopulationShape& s :
         {PopulationShape{1, 1, 1}, {1, 131, 6}, {67, 1, 6}, {7, 131, 1}, {7, 131, 20}, {2, 1100, 9}}) {
      INFO(name << ", " << s.batch << " samples, " << s.neurons << " neurons, " << s.steps << " steps");
      for (const bool constant : {true, false}) {
        const std::size_t rows = (constant ? 1 : s.steps) * s.batch;
        check_conformance([&, &model = neuron](Backend& backend) {
          TestedPopulation<Model> population(backend, s);
          const auto currents = uploaded(backend, random_values(rows * s.neurons, 1, -0.5F, 1.5F));
          population.run(backend, model, currents.matrix(rows, s.neurons));
          return population.outcome(backend);
        });
      }
    }
  }
}

/// That steps go on from the state that earlier ones left.
template <class Model>
void check_going_on(const NeuronKinds<Model>& kinds) {
  const PopulationShape s{3, 37, 9};
  const std::size_t element = s.batch * s.neurons;
  for (const auto& [name, neuron] : kinds) {
    INFO(name);
    on_each_backend([&, &model = neuron](Backend& backend) {
      const auto currents = uploaded(backend, random_values(s.steps * element, 2, -0.5F, 1.5F));
      TestedPopulation<Model> whole(backend, s);
      whole.run(backend, model, currents.matrix(s.steps * s.batch, s.neurons));
      const auto all = downloaded_spikes(backend, whole.spikes.view());

      TestedPopulation<Model> piece(backend, {s.batch, s.neurons, 3});
      for (std::size_t first = 0; first < s.steps; first += 3) {
        const ConstMatrix part{currents.view().subview(first * element, 3 * element), 3 * s.batch, s.neurons};
        piece.run(backend, model, part, first == 0, false);
        const auto spikes = downloaded_spikes(backend, piece.spikes.view());
        for (std::size_t row = 0; row < spikes.size(); ++row)
          CHECK(spikes[row] == all[first * s.batch + row]);
      }
      for (std::size_t i = 0; i < piece.state.size(); ++i) {
        const std::vector<float> last = downloaded(backend, whole.state[i]),
                                 each = downloaded(backend, whole.each_state[i]);
        CHECK(downloaded(backend, piece.state[i]) == last);
        CHECK(std::ranges::equal(std::span(each).last(element), last));
        CHECK(std::isnan(downloaded(backend, piece.each_state[i])[0]));
      }
      // What nobody asked for is not written.
      CHECK(std::isnan(downloaded(backend, piece.margin)[0]));
    });
  }
}

/// Errors in all the ways that they can travel through the neurons.
template <class Model>
std::vector<SurrogateDerivative> derivatives_of(const Model& neuron) {
  std::vector<SurrogateDerivative> all;
  for (const bool through_time : {true, false}) {
    for (const bool detached : {true, false}) {
      if (detached || neuron.surrogate_traits().differentiates_reset)
        all.push_back({.slope = 2.0F, .through_time = through_time, .detached_reset = detached});
    }
  }
  return all;
}

/// That errors back through the steps do.
template <class Model>
void check_backward(const NeuronKinds<Model>& kinds) {
  const PopulationShape s{5, 67, 7};
  const std::size_t all_rows = s.steps * s.batch, size = all_rows * s.neurons;
  for (const auto& [name, neuron] : kinds) {
    for (SurrogateDerivative derivative : derivatives_of(neuron)) {
      for (const Surrogate surrogate :
           {Surrogate::sigmoid, Surrogate::arctan, Surrogate::fast_sigmoid, Surrogate::triangle}) {
        derivative.surrogate = surrogate;
        INFO(name << ", surrogate " << static_cast<int>(surrogate) << ", through time "
                  << derivative.through_time << ", detached reset " << derivative.detached_reset);
        for (const bool constant : {true, false}) {
          check_conformance([&, &model = neuron](Backend& backend) {
            const auto margin = uploaded(backend, random_values(size, 1, -1.5F, 1.0F));
            const std::size_t rows = constant ? s.batch : all_rows;
            const auto error = uploaded(backend, random_values(rows * s.neurons, 2));
            auto result = uploaded(backend, std::vector<float>(size, not_a_number));
            backend.neurons().run(
                NeuronsBackward<Model>{.neuron = model,
                                       .derivative = derivative,
                                       .steps = s.steps,
                                       .margin = margin.matrix(all_rows, s.neurons),
                                       .output_error = error.matrix(rows, s.neurons),
                                       .current_error = result.matrix(all_rows, s.neurons)});
            return Outcome{{"error", about(downloaded(backend, result), 1e-5)}};
          });
        }
      }
    }
  }
}

/// That errors go back from those of a later step, and may be written over the errors that are read.
template <class Model>
void check_backward_in_pieces(const NeuronKinds<Model>& kinds) {
  const PopulationShape s{3, 37, 9};
  const std::size_t rows = s.steps * s.batch;
  for (const auto& [name, neuron] : kinds) {
    for (const SurrogateDerivative& derivative : derivatives_of(neuron)) {
      INFO(name << ", through time " << derivative.through_time << ", detached reset "
                << derivative.detached_reset);
      on_each_backend([&, &model = neuron](Backend& backend) {
        const auto margin = uploaded(backend, random_values(rows * s.neurons, 1, -1.5F, 1.0F));
        auto error = uploaded(backend, random_values(rows * s.neurons, 2));
        auto whole = backend.allocate<float>(rows * s.neurons);
        auto parts = backend.allocate<float>(rows * s.neurons);
        const auto go_back = [&](std::size_t first, std::size_t steps, const NeuronState<Model>& later,
                                 Array<float>& to) {
          const auto part = [&](auto matrix) { return matrix.row_range(first, steps * s.batch); };
          backend.neurons().run(NeuronsBackward<Model>{.neuron = model,
                                                       .derivative = derivative,
                                                       .steps = steps,
                                                       .margin = part(margin.matrix(rows, s.neurons)),
                                                       .output_error = part(error.matrix(rows, s.neurons)),
                                                       .later = later,
                                                       .current_error = part(to.matrix(rows, s.neurons))});
        };
        go_back(0, s.steps, {}, whole);
        TestedPopulation<Model> later(backend, s);
        for (Array<float>& field : later.state) backend.clear(field.view());
        std::size_t end = rows;
        for (const std::size_t steps : {1U, 5U, 3U}) {
          end -= steps * s.batch;
          go_back(end, steps, later.fields(later.state, s.batch), parts);
        }
        const auto numbers = [&](const Array<float>& array) {
          const std::vector<float> values = downloaded(backend, array);
          return std::vector<double>(values.begin(), values.end());
        };
        CHECK(difference(numbers(whole), numbers(parts)) < 1e-6);
        go_back(0, s.steps, {}, error);
        CHECK(downloaded(backend, error) == downloaded(backend, whole));
      });
    }
  }
}

/// All of these, of a model with a surrogate derivative.
template <class Model>
void check_surrogate_model(const NeuronKinds<Model>& kinds) {
  SECTION("steps agree with the reference, spike by spike") {
    check_steps(kinds);
  }
  SECTION("steps go on from the state that was left") {
    check_going_on(kinds);
  }
  SECTION("errors agree with the reference") {
    check_backward(kinds);
  }
  SECTION("errors go back from those of a later step, perhaps in place") {
    check_backward_in_pieces(kinds);
  }
}

}  // namespace orthospike::testing
