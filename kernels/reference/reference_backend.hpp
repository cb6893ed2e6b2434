#pragma once

#include "kernels/host_backend.hpp"

namespace orthospike {

/// The definition of every operation: serial, plain loops, sums in double. For tests, not for speed.
class ReferenceBackend final : public HostBackend {
 public:
  ReferenceBackend();
  std::string name() const override { return "reference"; }
  std::string device() const override { return "serial reference"; }
};

// Operations that those of other families are made of.
struct Multiply;
void execute(ReferenceBackend&, const Multiply& op);

}  // namespace orthospike
