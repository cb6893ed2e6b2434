#include "sim/connections/dense.hpp"

#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"

namespace orthospike {

void Dense::deliver_values(Backend& backend, ConstMatrix weights, ConstMatrix values, Matrix currents) const {
  backend.dense().run(Multiply{.a = values, .b = weights, .c = currents});
}

void Dense::deliver_spikes(Backend& backend, ConstMatrix weights, const SentSpikes& sent, Matrix currents,
                           View<const float> offset) const {
  backend.delivery().run(Deliver{.spikes = sent.spikes,
                                 .weights = weights,
                                 .height = sent.height,
                                 .dt = sent.dt,
                                 .form = sent.form,
                                 .crossover = sent.crossover,
                                 .currents = currents});
  add_offset(backend, offset, currents);
}

void Dense::add_gradient_of_spikes(Backend& backend, const Presynaptic& trace, ConstMatrix post, float beta,
                                   Matrix sum) const {
  if (trace.height.empty()) {
    add_outer_products(backend, 1.0F, trace, post, beta, sum);
  } else {
    Connection::add_gradient_of_spikes(backend, trace, post, beta, sum);
  }
}

void Dense::return_from(Backend& backend, ConstMatrix weights, ConstMatrix errors, Matrix sources) const {
  backend.dense().run(Multiply{.a = errors, .b = weights, .transpose_b = true, .c = sources});
}

}  // namespace orthospike
