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

/// A chain of lif populations as plain loops in double precision, and the network that it describes. Every
/// population advances by one step before time goes on.
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
  double decay() const { return model == "if" ? 1.0 : 1.0 - static_cast<double>(neuron.dt) / neuron.tau; }
  double synapse_decay() const {
    return neuron.synapse_tau == 0.0F ? 0.0 : 1.0 - static_cast<double>(neuron.dt) / neuron.synapse_tau;
  }
  double adaptation() const { return model == "alif" ? neuron.adaptation : 0.0; }
  double adaptation_decay() const {
    return model == "alif" ? 1.0 - static_cast<double>(neuron.dt) / neuron.adaptation_tau : 0.0;
  }

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
    for (std::size_t k = 0; k < populations(); ++k) {
      using Kind = Population::Kind;
      const Kind kind = k == 0 ? Kind::input : k + 1 == populations() ? Kind::readout : Kind::spiking;
      network.add_population(
          {.name = std::to_string(k),
           .size = sizes[k],
           .kind = kind,
           .neuron = kind == Kind::spiking ? neuron.make(model, network.backend()) : nullptr,
           .leak = kind == Kind::readout ? leak : 0});
      if (k > 0) network.add_projection("to " + std::to_string(k), k - 1, k);
      if (recurrent && kind == Kind::spiking) network.add_projection("in " + std::to_string(k), k, k);
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
  Run run(const Doubles& input) const {
    Run result;
    std::vector<Doubles> synapse, potential, adapted;
    for (const std::size_t size : sizes) {
      for (auto* state : {&synapse, &potential, &adapted}) state->emplace_back(size, 0.0);
    }
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
          double& v = potential[k][j];
          if (!spiking) {
            output[k][j] = v = leak * v + current[j];
            continue;
          }
          synapse[k][j] = synapse_decay() * synapse[k][j] + current[j] + own[j];
          v = decay() * v + synapse[k][j];
          const double m = margin[k][j] = v - neuron.threshold - adaptation() * adapted[k][j];
          result.nearest = std::min(result.nearest, std::abs(m));
          const bool fires = m >= 0;
          output[k][j] = fires ? 1 : 0;
          if (fires) v = neuron.hard_reset ? 0 : v - neuron.threshold;
          adapted[k][j] = adaptation_decay() * adapted[k][j] + output[k][j];
        }
      }
    }
    return result;
  }
};

}  // namespace orthospike::testing
