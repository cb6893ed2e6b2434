#include <algorithm>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"

namespace orthospike {

void CpuBackend::do_expand_spikes(ConstSpikes spikes, Matrix x) {
  const std::size_t rows = std::max<std::size_t>(1, elementwise_piece / x.cols);
  for_each_range(pool_, spikes.rows, rows, [&](std::size_t, std::size_t first, std::size_t last) {
    std::fill(x.address() + first * x.cols, x.address() + last * x.cols, 0.0F);
    for (std::size_t row = first; row < last; ++row) {
      const std::uint32_t* const events = spikes.indices.address() + row * x.cols;
      for (std::uint32_t event = 0; event < spikes.counts.address()[row]; ++event)
        x.address()[row * x.cols + events[event]] = 1.0F;
    }
  });
}

void CpuBackend::do_filter(float decay, std::size_t steps, Matrix x, Matrix last_trace) {
  const std::size_t size = last_trace.values.size();
  for_each_range(pool_, size, elements_per_piece(steps),
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   const float* before = last_trace.address();
                   for (std::size_t t = 0; t < steps; ++t) {
                     float* const now = x.address() + t * size;
                     for (std::size_t i = first; i < last; ++i) now[i] += decay * before[i];
                     before = now;
                   }
                   std::copy(before + first, before + last, last_trace.address() + first);
                 });
}

void CpuBackend::do_filter_back(float decay, std::size_t steps, Matrix x) {
  const std::size_t size = x.values.size() / steps;
  for_each_range(pool_, size, elements_per_piece(steps),
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t t = steps - 1; t-- > 0;) {
                     float* const now = x.address() + t * size;
                     for (std::size_t i = first; i < last; ++i) now[i] += decay * now[size + i];
                   }
                 });
}

void CpuBackend::do_sum_steps(float scale, float decay, std::size_t steps, ConstMatrix x, Matrix sum) {
  const std::size_t size = sum.values.size();
  for_each_range(pool_, size, elements_per_piece(steps),
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   float* const to = sum.address();
                   std::fill(to + first, to + last, 0.0F);
                   float weight = 0;
                   for (std::size_t t = 0; t < steps; ++t) {
                     weight = decay * weight + 1.0F;
                     const float* const from = x.address() + t * size;
                     const float factor = scale * weight;
                     for (std::size_t i = first; i < last; ++i) to[i] += factor * from[i];
                   }
                 });
}

}  // namespace orthospike
