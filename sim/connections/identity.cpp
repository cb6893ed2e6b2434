#include "sim/connections/identity.hpp"

namespace orthospike {

void Identity::deliver_values(Backend& backend, ConstMatrix /*weights*/, ConstMatrix values,
                              Matrix currents) const {
  backend.copy(values.values, currents.values);
}

void Identity::return_from(Backend& backend, ConstMatrix /*weights*/, ConstMatrix errors,
                           Matrix sources) const {
  backend.copy(errors.values, sources.values);
}

}  // namespace orthospike
