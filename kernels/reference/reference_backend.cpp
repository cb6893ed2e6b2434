#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

ReferenceBackend::ReferenceBackend() {
  make_families(*this);
}

}  // namespace orthospike
