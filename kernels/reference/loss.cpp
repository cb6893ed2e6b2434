#include "kernels/loss.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/host_view.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

namespace {

/// The logits of a row that take part.
std::span<const float> head_of(std::span<const float> logits, const Target& target) {
  return logits.subspan(target.first, target.last - target.first + std::size_t{1});
}

/// Whether the label's is the first of the largest.
bool is_correct(std::span<const float> head, const Target& target) {
  return std::ranges::none_of(head, [](float logit) { return std::isnan(logit); }) &&
         std::ranges::max_element(head) - head.begin() == target.label - target.first;
}

}  // namespace

void execute(ReferenceBackend&, const CrossEntropy& op) {
  const auto logits = host(op.logits);
  const auto gradient = host(op.logit_gradient);
  const double share = static_cast<double>(op.weight) / static_cast<double>(logits.rows);
  double losses = 0;
  for (std::size_t b = 0; b < logits.rows; ++b) {
    const Target& target = host(op.targets)[b % op.targets.size()];
    const std::span<const float> head = head_of(logits.row(b), target);
    const double largest = *std::ranges::max_element(head);
    double sum = 0;
    for (const double logit : head) sum += std::exp(logit - largest);
    for (std::size_t c = 0; c < logits.cols; ++c) {
      const bool takes_part = c >= target.first && c <= target.last;
      const double softmax = takes_part ? std::exp(logits(b, c) - largest) / sum : 0.0;
      gradient(b, c) = static_cast<float>((softmax - (c == target.label ? 1.0 : 0.0)) * share);
    }
    losses += std::log(sum) + largest - logits(b, target.label);
    if (is_correct(head, target)) ++host(op.correct)[0];
  }
  host(op.loss)[0] += losses * share * static_cast<double>(op.targets.size());
}

void execute(ReferenceBackend&, const MarkCorrect& op) {
  for (std::size_t b = 0; b < op.logits.rows; ++b) {
    const Target& target = host(op.targets)[b];
    host(op.right)[b] = is_correct(head_of(host(op.logits).row(b), target), target) ? 1.0F : 0.0F;
  }
}

template std::shared_ptr<Loss> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
