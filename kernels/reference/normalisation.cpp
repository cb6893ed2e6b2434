#include "kernels/normalisation.hpp"

#include <cmath>

#include "kernels/host_view.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

namespace {

double reciprocal_deviation(float variance, float epsilon) {
  return 1 / std::sqrt(static_cast<double>(variance) + epsilon);
}

}  // namespace

void execute(ReferenceBackend&, const MeasureChannels& op) {
  const auto x = host(op.x);
  const auto means = host(op.mean), variances = host(op.variance);
  const auto rows = static_cast<double>(x.rows);
  for (std::size_t c = 0; c < x.cols; ++c) {
    double sum = 0, squares = 0;
    for (std::size_t r = 0; r < x.rows; ++r) sum += x(r, c);
    const double mean = sum / rows;
    for (std::size_t r = 0; r < x.rows; ++r) squares += (x(r, c) - mean) * (x(r, c) - mean);
    means[c] = static_cast<float>(mean);
    variances[c] = static_cast<float>(squares / rows);
  }
}

void execute(ReferenceBackend&, const NormaliseChannels& op) {
  const auto x = host(op.x);
  const auto normalised = host(op.normalised), y = host(op.y);
  const auto mean = host(op.mean), variance = host(op.variance), gain = host(op.gain),
             offset = host(op.offset);
  for (std::size_t r = 0; r < x.rows; ++r) {
    for (std::size_t c = 0; c < x.cols; ++c) {
      const double value =
          (static_cast<double>(x(r, c)) - mean[c]) * reciprocal_deviation(variance[c], op.epsilon);
      if (!op.normalised.empty()) normalised(r, c) = static_cast<float>(value);
      y(r, c) = static_cast<float>(gain[c] * value + offset[c]);
    }
  }
}

void execute(ReferenceBackend&, const SumChannels& op) {
  const auto errors = host(op.errors), normalised = host(op.normalised);
  const auto error = host(op.error), product = host(op.product);
  for (std::size_t c = 0; c < errors.cols; ++c) {
    double sum = 0, products = 0;
    for (std::size_t r = 0; r < op.rows(); ++r) {
      const double here = errors(r % errors.rows, c);
      sum += here;
      products += here * normalised(r % normalised.rows, c);
    }
    error[c] = static_cast<float>(op.scale * sum);
    product[c] = static_cast<float>(op.scale * products);
  }
}

void execute(ReferenceBackend&, const NormalisationBackward& op) {
  const auto errors = host(op.errors), normalised = host(op.normalised);
  const auto variance = host(op.variance), gain = host(op.gain), error = host(op.error),
             product = host(op.product);
  const auto x_errors = host(op.x_errors);
  const auto rows = static_cast<double>(x_errors.rows);
  for (std::size_t r = 0; r < x_errors.rows; ++r) {
    for (std::size_t c = 0; c < x_errors.cols; ++c) {
      double value = static_cast<double>(op.scale) * errors(r % errors.rows, c);
      if (op.takes_sums())
        value -= (error[c] + static_cast<double>(normalised(r % normalised.rows, c)) * product[c]) / rows;
      x_errors(r, c) = static_cast<float>(gain[c] * reciprocal_deviation(variance[c], op.epsilon) * value);
    }
  }
}

template std::shared_ptr<NormalisationSteps> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
