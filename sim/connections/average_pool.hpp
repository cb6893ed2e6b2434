#pragma once

#include "kernels/map_shape.hpp"
#include "sim/connections/connection.hpp"

namespace orthospike {

/// Means over squares of size × size pixels of a map, channel by channel, without weights. Rows and columns beyond the
/// last whole square are left out.
class AveragePool final : public Connection {
 public:
  AveragePool(const MapShape& map, std::size_t size);

 private:
  void deliver_values(Backend& backend, ConstMatrix weights, ConstMatrix values,
                      Matrix currents) const override;
  void return_from(Backend& backend, ConstMatrix weights, ConstMatrix errors, Matrix sources) const override;

  MapShape map_;
  std::size_t size_;
};

}  // namespace orthospike
