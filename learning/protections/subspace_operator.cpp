#include "learning/protections/subspace_operator.hpp"

#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/subspaces.hpp"

namespace orthospike {

SubspaceOperator::SubspaceOperator(Backend& backend, LateralNeurons& neurons, const Subspace& subspace,
                                   std::size_t max_rows)
    : backend_(backend),
      neurons_(neurons),
      subspace_(subspace),
      max_rows_(max_rows),
      one_(backend.allocate<float>(1)) {
  backend.elementwise().run(RaiseTo{.bound = 1.0F, .values = one_.view()});
}

ConstMatrix SubspaceOperator::residual_of(const Presynaptic& x) {
  if (subspace_.old_rank() == 0) return x;
  if (residual_.size() == 0) residual_ = backend_.allocate<float>(max_rows_ * subspace_.presynaptic_size());
  const Matrix result = residual_.matrix(x.rows, x.cols);
  if (!holds_residual_of(x)) {
    remove_responses(x, result);
    residual_source_ = x;
  }
  return result;
}

OldResidual SubspaceOperator::lazy_residual_of(const Presynaptic& x) {
  return {.is_held = subspace_.old_rank() == 0 || holds_residual_of(x),
          .get = [this, &x] { return residual_of(x); }};
}

bool SubspaceOperator::holds_residual_of(const Presynaptic& x) const {
  return x.address() == residual_source_.address() && x.rows == residual_source_.rows;
}

void SubspaceOperator::remove_responses(const Presynaptic& x, Matrix result) {
  const ConstMatrix h = subspace_.old_rows();
  if (neurons_.linear() && !x.has_events() && scale_ == 1) {
    backend_.subspaces().run(RemoveSubspace{.h = h, .x = x, .residual = result});
    return;
  }
  const Matrix y = grown(backend_, response_, x.rows, h.rows);
  if (x.has_events()) {
    backend_.delivery().run(Deliver{.spikes = x.spikes,
                                    .weights = subspace_.old_rows_transposed(),
                                    .height = one_.view(),
                                    .crossover = subspace_crossover,
                                    .currents = y});
  } else {
    backend_.dense().run(Multiply{.a = x, .b = h, .transpose_b = true, .c = y});
  }
  neurons_.respond(y);
  backend_.dense().run(Multiply{.alpha = -scale_, .a = y, .b = h, .beta = scale_, .addend = x, .c = result});
}

ConstMatrix SubspaceOperator::apply_to_traces(const Presynaptic& traces) {
  forget();
  return residual_of(traces);
}

void SubspaceOperator::apply_to_gradient(Matrix gradient) {
  const ConstMatrix h = subspace_.old_rows();
  const Matrix y = grown(backend_, response_, h.rows, gradient.cols);
  backend_.dense().run(Multiply{.a = h, .b = gradient, .c = y});
  backend_.dense().run(
      Multiply{.alpha = -scale_, .a = h, .transpose_a = true, .b = y, .beta = scale_, .c = gradient});
}

}  // namespace orthospike
