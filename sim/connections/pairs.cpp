#include "sim/connections/pairs.hpp"

#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"

namespace orthospike {

void add_outer_products(Backend& backend, float alpha, const Presynaptic& trace, ConstMatrix post, float beta,
                        Matrix sum) {
  if (trace.has_events() && trace.rows > 0) {
    backend.delivery().run(
        Correlate{.alpha = alpha, .spikes = trace.spikes, .b = post, .beta = beta, .c = sum});
  } else {
    backend.dense().run(
        Multiply{.alpha = alpha, .a = trace, .transpose_a = true, .b = post, .beta = beta, .c = sum});
  }
}

}  // namespace orthospike
