#include "kernels/traces.hpp"

#include "kernels/host_view.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void execute(ReferenceBackend&, const Filter& op) {
  const auto last = host(op.last.values), x = host(op.x.values);
  for (std::size_t i = 0; i < last.size(); ++i) {
    double trace = last[i];
    for (std::size_t t = 0; t < op.steps; ++t) {
      float& now = x[t * last.size() + i];
      trace = op.decay * trace + now;
      now = static_cast<float>(trace);
    }
    last[i] = static_cast<float>(trace);
  }
}

void execute(ReferenceBackend&, const FilterBack& op) {
  const auto x = host(op.x.values);
  const std::size_t size = x.size() / op.steps;
  for (std::size_t i = 0; i < size; ++i) {
    double trace = 0;
    for (std::size_t t = op.steps; t-- > 0;) {
      float& now = x[t * size + i];
      trace = op.decay * trace + now;
      now = static_cast<float>(trace);
    }
  }
}

void execute(ReferenceBackend&, const SumSteps& op) {
  const auto x = host(op.x.values);
  const auto sum = host(op.sum.values);
  for (std::size_t i = 0; i < sum.size(); ++i) {
    double total = 0;
    double weight = 0;
    for (std::size_t t = 0; t < op.steps; ++t) {
      weight = op.decay * weight + 1.0;
      total += weight * x[t * sum.size() + i];
    }
    sum[i] = static_cast<float>(op.scale * total);
  }
}

template std::shared_ptr<Traces> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
