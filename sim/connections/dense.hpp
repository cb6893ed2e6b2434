#pragma once

#include "sim/connections/connection.hpp"

namespace orthospike {

/// Each neuron to each. Weights [sources × targets]: the outgoing ones of a neuron lie together, which is what the
/// delivery of a spike reads.
class Dense final : public Connection {
 public:
  Dense(std::size_t sources, std::size_t targets)
      : Connection({.sources = sources,
                    .targets = targets,
                    .presynaptic = sources,
                    .outputs = targets,
                    .fan_out = static_cast<double>(targets)}) {}

 private:
  void deliver_values(Backend& backend, ConstMatrix weights, ConstMatrix values,
                      Matrix currents) const override;
  void deliver_spikes(Backend& backend, ConstMatrix weights, const SentSpikes& sent, Matrix currents,
                      View<const float> offset) const override;
  void add_gradient_of_spikes(Backend& backend, const Presynaptic& trace, ConstMatrix post, float beta,
                              Matrix sum) const override;
  void return_from(Backend& backend, ConstMatrix weights, ConstMatrix errors, Matrix sources) const override;
  Presynaptic find_rows(Backend&, const Presynaptic& trace) const override { return trace; }
};

}  // namespace orthospike
