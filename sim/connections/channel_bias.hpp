#pragma once

#include "sim/connections/connection.hpp"

namespace orthospike {

/// One neuron to all pixels of a map, channel last: weights [1 × channels], the same at all of them. A presynaptic row is
/// the neuron's output, at each place.
class ChannelBias final : public Connection {
 public:
  ChannelBias(std::size_t places, std::size_t channels)
      : Connection({.sources = 1,
                    .targets = places * channels,
                    .presynaptic = 1,
                    .outputs = channels,
                    .places = places,
                    .fan_out = static_cast<double>(places * channels)}),
        repeated_(places) {}

 private:
  void deliver_values(Backend& backend, ConstMatrix weights, ConstMatrix values,
                      Matrix currents) const override;
  void return_from(Backend& backend, ConstMatrix weights, ConstMatrix errors, Matrix sources) const override;
  Presynaptic find_rows(Backend& backend, const Presynaptic& trace) const override;

  /// result [rows × places] ← values [rows × 1] at each place.
  void repeat(Backend& backend, ConstMatrix values, Matrix result) const;
  /// [1 × places]
  ConstMatrix ones(Backend& backend) const;

  ChunkRoom repeated_;
  mutable Array<float> ones_, rows_;
};

}  // namespace orthospike
