#include "kernels/loss.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/host_view.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

namespace {

std::size_t label_of(View<const std::uint8_t> labels, View<const std::uint32_t> samples, std::size_t b) {
  return host(labels)[host(samples)[b % samples.size()]];
}

/// The first of the largest logits.
std::size_t largest_of(std::span<const float> logits) {
  return static_cast<std::size_t>(std::ranges::max_element(logits) - logits.begin());
}

bool is_correct(std::span<const float> logits, std::size_t label) {
  return std::ranges::none_of(logits, [](float logit) { return std::isnan(logit); }) &&
         largest_of(logits) == label;
}

}  // namespace

void execute(ReferenceBackend&, const CrossEntropy& op) {
  const auto logits = host(op.logits);
  const auto gradient = host(op.logit_gradient);
  const double share = static_cast<double>(op.weight) / static_cast<double>(logits.rows);
  double losses = 0;
  for (std::size_t b = 0; b < logits.rows; ++b) {
    const std::size_t label = label_of(op.labels, op.samples, b);
    const double largest = logits(b, largest_of(logits.row(b)));
    double sum = 0;
    for (const double logit : logits.row(b)) sum += std::exp(logit - largest);
    for (std::size_t c = 0; c < logits.cols; ++c) {
      const double softmax = std::exp(logits(b, c) - largest) / sum;
      gradient(b, c) = static_cast<float>((softmax - (c == label ? 1.0 : 0.0)) * share);
    }
    losses += std::log(sum) + largest - logits(b, label);
    if (is_correct(logits.row(b), label)) ++host(op.correct)[0];
  }
  host(op.loss)[0] += losses * share * static_cast<double>(op.samples.size());
}

void execute(ReferenceBackend&, const MarkCorrect& op) {
  for (std::size_t b = 0; b < op.logits.rows; ++b)
    host(op.right)[b] = is_correct(host(op.logits).row(b), label_of(op.labels, op.samples, b)) ? 1.0F : 0.0F;
}

template std::shared_ptr<Loss> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
