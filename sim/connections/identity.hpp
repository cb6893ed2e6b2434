#pragma once

#include "sim/connections/connection.hpp"

namespace orthospike {

/// Each neuron to the one of the same number, without weights: what a residual stream passes on.
class Identity final : public Connection {
 public:
  explicit Identity(std::size_t neurons)
      : Connection({.sources = neurons, .targets = neurons, .fan_out = 1}) {}

 private:
  void deliver_values(Backend& backend, ConstMatrix weights, ConstMatrix values,
                      Matrix currents) const override;
  void return_from(Backend& backend, ConstMatrix weights, ConstMatrix errors, Matrix sources) const override;
};

}  // namespace orthospike
