#include "kernels/loss.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/host_view.hpp"

namespace orthospike {

/// Serial: a batch has some hundred logits.
void execute(CpuBackend&, const CrossEntropy& op) {
  const std::size_t batch = op.samples.size();
  const float share = op.weight / static_cast<float>(op.logits.rows);
  double losses = 0;
  for (std::size_t b = 0; b < op.logits.rows; ++b) {
    const auto row = host(op.logits).row(b);
    const auto gradient = host(op.logit_gradient).row(b);
    const std::size_t label = host(op.labels)[host(op.samples)[b % batch]];
    const auto largest = static_cast<std::size_t>(std::ranges::max_element(row) - row.begin());
    float sum = 0;
    for (std::size_t c = 0; c < row.size(); ++c) sum += gradient[c] = std::exp(row[c] - row[largest]);
    for (float& g : gradient) g *= share / sum;
    gradient[label] -= share;
    losses += static_cast<double>(std::log(sum)) + row[largest] - row[label];
    if (!std::isnan(sum) && largest == label) ++host(op.correct)[0];
  }
  host(op.loss)[0] += losses * static_cast<double>(op.weight) * static_cast<double>(batch) /
                      static_cast<double>(op.logits.rows);
}

void execute(CpuBackend&, const MarkCorrect& op) {
  for (std::size_t b = 0; b < op.logits.rows; ++b) {
    const auto row = host(op.logits).row(b);
    const auto largest = static_cast<std::size_t>(std::ranges::max_element(row) - row.begin());
    const bool valid = std::ranges::none_of(row, [](float logit) { return std::isnan(logit); });
    host(op.right)[b] = valid && largest == host(op.labels)[host(op.samples)[b]] ? 1.0F : 0.0F;
  }
}

template std::shared_ptr<Loss> make_family(CpuBackend&, double&);

}  // namespace orthospike
