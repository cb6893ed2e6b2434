#include "sim/connections/average_pool.hpp"

#include "kernels/maps.hpp"

namespace orthospike {

namespace {

Connection::Sizes sizes(const MapShape& map, std::size_t size) {
  require(size > 0 && map.pooled(size).size() > 0, "average_pool", "the map has no whole square");
  const std::size_t targets = map.pooled(size).size();
  return {.sources = map.size(),
          .targets = targets,
          .fan_out = static_cast<double>(targets * size * size) / static_cast<double>(map.size())};
}

}  // namespace

AveragePool::AveragePool(const MapShape& map, std::size_t size)
    : Connection(sizes(map, size)), map_(map), size_(size) {}

void AveragePool::deliver_values(Backend& backend, ConstMatrix /*weights*/, ConstMatrix values,
                                 Matrix currents) const {
  backend.maps().run(Pool{.maps = values, .map = map_, .size = size_, .pooled = currents});
}

void AveragePool::return_from(Backend& backend, ConstMatrix /*weights*/, ConstMatrix errors,
                              Matrix sources) const {
  backend.maps().run(Unpool{.pooled = errors, .map = map_, .size = size_, .maps = sources});
}

}  // namespace orthospike
