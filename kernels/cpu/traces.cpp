#include "kernels/traces.hpp"

#include <algorithm>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"

namespace orthospike {

void execute(CpuBackend& cpu, const Filter& op) {
  float* const x = op.x.address();
  float* const last_trace = op.last.address();
  const std::size_t size = op.last.values.size(), steps = op.steps;
  const float decay = op.decay;
  for_each_range(cpu.pool(), size, elements_per_piece(steps),
                 [=](std::size_t, std::size_t first, std::size_t last) {
                   const float* before = last_trace;
                   for (std::size_t t = 0; t < steps; ++t) {
                     float* const now = x + t * size;
                     for (std::size_t i = first; i < last; ++i) now[i] += decay * before[i];
                     before = now;
                   }
                   std::copy(before + first, before + last, last_trace + first);
                 });
}

void execute(CpuBackend& cpu, const FilterBack& op) {
  float* const x = op.x.address();
  const std::size_t size = op.x.values.size() / op.steps, steps = op.steps;
  const float decay = op.decay;
  for_each_range(cpu.pool(), size, elements_per_piece(steps),
                 [=](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t t = steps - 1; t-- > 0;) {
                     float* const now = x + t * size;
                     for (std::size_t i = first; i < last; ++i) now[i] += decay * now[size + i];
                   }
                 });
}

void execute(CpuBackend& cpu, const SumSteps& op) {
  const float* const x = op.x.address();
  float* const sum = op.sum.address();
  const std::size_t size = op.sum.values.size(), steps = op.steps;
  const float scale = op.scale, decay = op.decay;
  for_each_range(cpu.pool(), size, elements_per_piece(steps),
                 [=](std::size_t, std::size_t first, std::size_t last) {
                   std::fill(sum + first, sum + last, 0.0F);
                   float weight = 0;
                   for (std::size_t t = 0; t < steps; ++t) {
                     weight = decay * weight + 1.0F;
                     const float* const from = x + t * size;
                     const float factor = scale * weight;
                     for (std::size_t i = first; i < last; ++i) sum[i] += factor * from[i];
                   }
                 });
}

template std::shared_ptr<Traces> make_family(CpuBackend&, double&);

}  // namespace orthospike
