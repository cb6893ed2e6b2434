#include <cmath>

#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void ReferenceBackend::do_cross_entropy(ConstMatrix logits, View<const std::uint8_t> labels,
                                        View<const std::uint32_t> samples, Matrix logit_gradient,
                                        View<double> loss, View<std::uint32_t> correct) {
  const std::size_t classes = logits.cols;
  for (std::size_t b = 0; b < logits.rows; ++b) {
    const float* row = logits.address() + b * classes;
    const std::size_t label = labels.address()[samples.address()[b]];
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
          static_cast<float>((softmax - (c == label ? 1.0 : 0.0)) / static_cast<double>(logits.rows));
    }
    loss.address()[0] += std::log(sum) + row[largest] - row[label];
    if (valid && largest == label) ++correct.address()[0];
  }
}

}  // namespace orthospike
