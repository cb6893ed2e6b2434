#include <cmath>

#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void ReferenceBackend::do_cross_entropy(ConstMatrix logits, View<const std::uint8_t> labels,
                                        View<const std::uint32_t> samples, float weight,
                                        Matrix logit_gradient, View<double> loss,
                                        View<std::uint32_t> correct) {
  const std::size_t classes = logits.cols;
  const double share = static_cast<double>(weight) / static_cast<double>(logits.rows);
  double losses = 0;
  for (std::size_t b = 0; b < logits.rows; ++b) {
    const float* row = logits.address() + b * classes;
    const std::size_t label = labels.address()[samples.address()[b % samples.size()]];
    std::size_t largest = 0;
    bool valid = true;
    for (std::size_t c = 0; c < classes; ++c) {
      if (row[c] > row[largest]) largest = c;
      valid = valid && !std::isnan(row[c]);
    }
    double sum = 0;
    for (std::size_t c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(row[c]) - row[largest]);
    for (std::size_t c = 0; c < classes; ++c) {
      const double softmax = std::exp(static_cast<double>(row[c]) - row[largest]) / sum;
      logit_gradient.address()[b * classes + c] =
          static_cast<float>((softmax - (c == label ? 1.0 : 0.0)) * share);
    }
    losses += std::log(sum) + row[largest] - row[label];
    if (valid && largest == label) ++correct.address()[0];
  }
  loss.address()[0] += losses * share * static_cast<double>(samples.size());
}

void ReferenceBackend::do_mark_correct(ConstMatrix logits, View<const std::uint8_t> labels,
                                       View<const std::uint32_t> samples, View<float> right) {
  for (std::size_t b = 0; b < logits.rows; ++b) {
    const float* row = logits.address() + b * logits.cols;
    std::size_t largest = 0;
    bool valid = true;
    for (std::size_t c = 0; c < logits.cols; ++c) {
      if (row[c] > row[largest]) largest = c;
      valid = valid && !std::isnan(row[c]);
    }
    right.address()[b] = valid && largest == labels.address()[samples.address()[b]] ? 1.0F : 0.0F;
  }
}

}  // namespace orthospike
