#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.hpp"

namespace orthospike {

/// Serial: a batch has some hundred logits.
void CpuBackend::do_cross_entropy(ConstMatrix logits, View<const std::uint8_t> labels,
                                  View<const std::uint32_t> samples, float weight, Matrix logit_gradient,
                                  View<double> loss, View<std::uint32_t> correct) {
  const std::size_t classes = logits.cols;
  const float share = weight / static_cast<float>(logits.rows);
  double losses = 0;
  for (std::size_t b = 0; b < logits.rows; ++b) {
    const float* row = logits.address() + b * classes;
    float* gradient = logit_gradient.address() + b * classes;
    const std::size_t label = labels.address()[samples.address()[b % samples.size()]];
    const std::size_t largest = static_cast<std::size_t>(std::max_element(row, row + classes) - row);
    float sum = 0;
    for (std::size_t c = 0; c < classes; ++c) sum += gradient[c] = std::exp(row[c] - row[largest]);
    for (std::size_t c = 0; c < classes; ++c) gradient[c] *= share / sum;
    gradient[label] -= share;
    losses += static_cast<double>(std::log(sum)) + row[largest] - row[label];
    if (!std::isnan(sum) && largest == label) ++correct.address()[0];
  }
  loss.address()[0] += losses * static_cast<double>(weight) * static_cast<double>(samples.size()) /
                       static_cast<double>(logits.rows);
}

void CpuBackend::do_mark_correct(ConstMatrix logits, View<const std::uint8_t> labels,
                                 View<const std::uint32_t> samples, View<float> right) {
  for (std::size_t b = 0; b < logits.rows; ++b) {
    const float* const first = logits.address() + b * logits.cols;
    const float* const last = first + logits.cols;
    const auto largest = static_cast<std::size_t>(std::max_element(first, last) - first);
    const bool valid = std::none_of(first, last, [](float logit) { return std::isnan(logit); });
    right.address()[b] = valid && largest == labels.address()[samples.address()[b]] ? 1.0F : 0.0F;
  }
}

}  // namespace orthospike
