#include "kernels/loss.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/host_view.hpp"

namespace orthospike {

/// Serial: a batch has some hundred logits.
void execute(CpuBackend&, const CrossEntropy& op) {
  const std::size_t batch = op.targets.size();
  const float share = op.weight / static_cast<float>(op.logits.rows);
  double losses = 0;
  for (std::size_t b = 0; b < op.logits.rows; ++b) {
    const auto [label, first, last] = host(op.targets)[b % batch];
    const std::size_t width = last - first + std::size_t{1};
    const auto head = host(op.logits).row(b).subspan(first, width);
    const auto gradient = host(op.logit_gradient).row(b);
    const auto of_head = gradient.subspan(first, width);
    const std::size_t sought = label - first;
    const auto largest = static_cast<std::size_t>(std::ranges::max_element(head) - head.begin());
    std::ranges::fill(gradient, 0.0F);
    float sum = 0;
    for (std::size_t c = 0; c < width; ++c) sum += of_head[c] = std::exp(head[c] - head[largest]);
    for (float& g : of_head) g *= share / sum;
    of_head[sought] -= share;
    losses += static_cast<double>(std::log(sum)) + head[largest] - head[sought];
    if (!std::isnan(sum) && largest == sought) ++host(op.correct)[0];
  }
  host(op.loss)[0] += losses * static_cast<double>(op.weight) * static_cast<double>(batch) /
                      static_cast<double>(op.logits.rows);
}

void execute(CpuBackend&, const MarkCorrect& op) {
  for (std::size_t b = 0; b < op.logits.rows; ++b) {
    const auto [label, first, last] = host(op.targets)[b];
    const auto head = host(op.logits).row(b).subspan(first, last - first + std::size_t{1});
    const bool valid = std::ranges::none_of(head, [](float logit) { return std::isnan(logit); });
    const bool is_largest = std::ranges::max_element(head) - head.begin() == label - first;
    host(op.right)[b] = valid && is_largest ? 1.0F : 0.0F;
  }
}

template std::shared_ptr<Loss> make_family(CpuBackend&, double&);

}  // namespace orthospike
