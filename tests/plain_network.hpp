#pragma once

#include <string>
#include <vector>

#include "sim/clock_engine.hpp"
#include "tests/conformance/backends.hpp"
#include "tests/plain_neurons.hpp"

namespace orthospike::testing {

using Doubles = std::vector<double>;

/// error · weights of [source × target] weights.
inline Doubles through(const Doubles& values, const std::vector<float>& weights) {
  const std::size_t targets = weights.size() / values.size();
  Doubles sums(targets, 0.0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (std::size_t j = 0; j < targets; ++j) sums[j] += values[i] * weights[i * targets + j];
  }
  return sums;
}

/// Populations "0", "1", … of these sizes; the first is the input, the last the read-out.
inline void add_populations(Network& network, const std::vector<std::size_t>& sizes, const std::string& model,
                            const PlainNeurons& neuron, float leak) {
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    using Kind = Population::Kind;
    const Kind kind = k == 0 ? Kind::input : k + 1 == sizes.size() ? Kind::readout : Kind::spiking;
    network.add_population({.name = std::to_string(k),
                            .size = sizes[k],
                            .kind = kind,
                            .neuron = kind == Kind::spiking ? neuron.make(model, network.backend()) : nullptr,
                            .leak = kind == Kind::readout ? leak : 0});
  }
}

/// A chain of populations as plain loops in double precision, and the network that it describes. Every population
/// advances by one step before time goes on.
struct PlainNetwork {
  std::string model = "lif";
  PlainNeurons neuron;
  std::vector<std::size_t> sizes;  ///< input, spiking populations, read-out
  bool recurrent = false;
  float leak = 0;
  std::vector<std::vector<float>> weights = {};  ///< one a projection, in the order of the network's

  std::size_t populations() const { return sizes.size(); }
  /// The projection that brings population k the output of the one before, and that of its own.
  std::size_t forward(std::size_t k) const { return recurrent ? 2 * (k - 1) : k - 1; }
  std::size_t backward(std::size_t k) const { return forward(k) + 1; }

  /// Random weights, more positive than negative ones, so that all populations spike.
  void draw_weights(std::uint32_t seed) {
    for (std::size_t k = 1; k < populations(); ++k) {
      const float bound = 2.0F / std::sqrt(static_cast<float>(sizes[k - 1]));
      weights.push_back(random_values(sizes[k - 1] * sizes[k], seed++, -0.7F * bound, bound));
      if (recurrent && k + 1 < populations())
        weights.push_back(random_values(sizes[k] * sizes[k], seed++, -0.5F, 0.5F));
    }
  }

  void build(Network& network) const {
    add_populations(network, sizes, model, neuron, leak);
    for (std::size_t k = 1; k < populations(); ++k) {
      network.add_projection("to " + std::to_string(k), k - 1, k);
      if (recurrent && k + 1 < populations()) network.add_projection("in " + std::to_string(k), k, k);
    }
    for (std::size_t p = 0; p < weights.size(); ++p) {
      network.backend().upload(std::span<const float>(weights[p]), network.projections()[p].weights.view());
    }
  }

  /// What happens in one sample; [step][population][neuron], of the read-out its state.
  struct Run {
    std::vector<std::vector<Doubles>> output, margin;
    double nearest = std::numeric_limits<double>::max();  ///< that a potential came to what fires
  };
  /// of_neuron: a neuron at rest, whose step(current) returns its margin; where that is not negative, it spikes. A
  /// model's test has it, in double precision and from the model's equations.
  template <class Neuron>
  Run run(const Doubles& input, const Neuron& of_neuron) const {
    Run result;
    std::vector<std::vector<Neuron>> neurons;
    for (const std::size_t size : sizes) neurons.emplace_back(size, of_neuron);
    for (std::size_t t = 0; t < neuron.steps; ++t) {
      auto& output = result.output.emplace_back(std::vector<Doubles>{input});
      auto& margin = result.margin.emplace_back(std::vector<Doubles>{{}});
      for (std::size_t k = 1; k < populations(); ++k) {
        Doubles current = through(output[k - 1], weights[forward(k)]);
        output.emplace_back(sizes[k], 0.0);
        margin.emplace_back(sizes[k], 0.0);
        const bool spiking = k + 1 < populations();
        const Doubles own = recurrent && spiking && t > 0
                                ? through(result.output[t - 1][k], weights[backward(k)])
                                : Doubles(sizes[k], 0.0);
        for (std::size_t j = 0; j < sizes[k]; ++j) {
          if (!spiking) {
            output[k][j] = (t == 0 ? 0 : leak * result.output[t - 1][k][j]) + current[j];
            continue;
          }
          const double m = margin[k][j] = neurons[k][j].step(current[j] + own[j]);
          result.nearest = std::min(result.nearest, std::abs(m));
          output[k][j] = m >= 0 ? 1 : 0;
        }
      }
    }
    return result;
  }
};

}  // namespace orthospike::testing
