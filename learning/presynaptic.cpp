#include "learning/presynaptic.hpp"

namespace orthospike {

void add_outer_products(Backend& backend, float alpha, const Presynaptic& trace, ConstMatrix post, float beta,
                        Matrix sum) {
  if (trace.has_events()) {
    backend.correlate(alpha, trace.spikes, post, beta, sum);
  } else {
    backend.multiply(alpha, trace, Transpose::yes, post, Transpose::no, beta, sum);
  }
}

}  // namespace orthospike
