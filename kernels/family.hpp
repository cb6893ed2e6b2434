#pragma once

#include <memory>
#include <tuple>

#include "kernels/shapes.hpp"

namespace orthospike {

/// A family of operations on one back end; backend.hpp lists them.
///
/// An operation is a struct of its arguments. It has check(), which refuses shapes that do not fit
/// (std::invalid_argument: an error in the calling code), multiply_adds() where its arithmetic is counted, and empty()
/// where it may have nothing to do. Outputs must not overlap inputs unless it says so; matrices are row-major.
///
/// To add one: its struct and its name in the list of the family, and a function execute(device, operation) in the file
/// of the family's name in reference/, cpu/ and cuda/; the compiler names the one that is missing.
template <class... Operations>
class Family {
 public:
  template <class Device>
  Family(Device& device, double& multiply_adds)
      : device_(&device), multiply_adds_(multiply_adds), execute_(&call<Device, Operations>...) {}

  template <class Operation>
  void run(const Operation& operation) {
    operation.check();
    if constexpr (requires { operation.multiply_adds(); }) multiply_adds_ += operation.multiply_adds();
    if constexpr (requires { operation.empty(); }) {
      if (operation.empty()) return;
    }
    std::get<Execute<Operation>>(execute_)(device_, operation);
  }

 private:
  template <class Operation>
  using Execute = void (*)(void* device, const Operation&);
  template <class Device, class Operation>
  static void call(void* device, const Operation& operation) {
    execute(*static_cast<Device*>(device), operation);
  }

  void* device_;
  double& multiply_adds_;
  std::tuple<Execute<Operations>...> execute_;
};

/// Instantiated for each back end at the end of the file that has its functions for the family.
template <class Operations, class Device>
std::shared_ptr<Operations> make_family(Device& device, double& multiply_adds) {
  return std::make_shared<Operations>(device, multiply_adds);
}

}  // namespace orthospike
