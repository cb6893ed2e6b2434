#include "kernels/backend.hpp"

#include "kernels/shapes.hpp"

namespace orthospike {

void Backend::check_equal(const char* operation, std::size_t left, std::size_t right) {
  require(left == right, operation, "source and destination differ in size");
}

void Backend::repeat(RepeatedWork& repeated, const std::function<void()>& work) {
  const double before = multiply_adds_;
  if (do_repeat(repeated, work)) {
    repeated.multiply_adds_ = multiply_adds_ - before;
  } else {
    multiply_adds_ += repeated.multiply_adds_;
  }
}

bool Backend::do_repeat(RepeatedWork& /*repeated*/, const std::function<void()>& work) {
  work();
  return true;
}

}  // namespace orthospike
