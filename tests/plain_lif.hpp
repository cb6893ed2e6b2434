#pragma once

#include "tests/plain_network.hpp"

namespace orthospike::testing {

/// A neuron of lif, if or alif, at rest.
struct PlainLif {
  explicit PlainLif(const PlainNetwork& network)
      : decay(network.model == "if" ? 1.0 : kept(network, network.neuron.tau)),
        synapse_decay(network.neuron.synapse_tau == 0.0F ? 0.0 : kept(network, network.neuron.synapse_tau)),
        threshold(network.neuron.threshold),
        hard_reset(network.neuron.hard_reset) {
    if (network.model != "alif") return;
    adaptation = network.neuron.adaptation;
    adaptation_decay = kept(network, network.neuron.adaptation_tau);
  }

  double step(double current) {
    synapse = synapse_decay * synapse + current;
    potential = decay * potential + synapse;
    const double margin = potential - threshold - adaptation * adapted;
    const bool fires = margin >= 0;
    if (fires) potential = hard_reset ? 0 : potential - threshold;
    adapted = adaptation_decay * adapted + (fires ? 1 : 0);
    return margin;
  }

  double decay, synapse_decay, threshold, adaptation = 0, adaptation_decay = 0;
  bool hard_reset;
  double synapse = 0, potential = 0, adapted = 0;

 private:
  static double kept(const PlainNetwork& network, float tau) {
    return 1.0 - static_cast<double>(network.neuron.dt) / tau;
  }
};

}  // namespace orthospike::testing
