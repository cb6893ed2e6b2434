#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/optimisers.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first: this file is compiled once for each instruction set.
#include <hwy/highway.h>

#include <cmath>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/host_view.hpp"
#include "kernels/optimisers.hpp"

HWY_BEFORE_NAMESPACE();
namespace orthospike::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

void follow_moments(const AdamStep& step, float* mean, float* square, float* gradient, std::size_t size) {
  const hn::ScalableTag<float> tag;
  const std::size_t lanes = hn::Lanes(tag);
  const auto mean_kept = hn::Set(tag, step.beta1);
  const auto mean_taken = hn::Set(tag, 1.0F - step.beta1);
  const auto square_kept = hn::Set(tag, step.beta2);
  const auto square_taken = hn::Set(tag, 1.0F - step.beta2);
  const auto mean_correction = hn::Set(tag, step.mean_correction);
  const auto square_correction = hn::Set(tag, step.square_correction);
  const auto epsilon = hn::Set(tag, step.epsilon);
  std::size_t i = 0;
  for (; i + lanes <= size; i += lanes) {
    const auto g = hn::LoadU(tag, gradient + i);
    const auto m = hn::MulAdd(mean_kept, hn::LoadU(tag, mean + i), hn::Mul(mean_taken, g));
    const auto v = hn::MulAdd(square_kept, hn::LoadU(tag, square + i), hn::Mul(square_taken, hn::Mul(g, g)));
    hn::StoreU(m, tag, mean + i);
    hn::StoreU(v, tag, square + i);
    hn::StoreU(
        hn::Div(hn::Mul(mean_correction, m), hn::Add(hn::Sqrt(hn::Mul(square_correction, v)), epsilon)), tag,
        gradient + i);
  }
  for (; i < size; ++i) {
    const float g = gradient[i];
    mean[i] = step.beta1 * mean[i] + (1.0F - step.beta1) * g;
    square[i] = step.beta2 * square[i] + (1.0F - step.beta2) * (g * g);
    gradient[i] =
        step.mean_correction * mean[i] / (std::sqrt(step.square_correction * square[i]) + step.epsilon);
  }
}

}  // namespace orthospike::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthospike {

namespace {
HWY_EXPORT(follow_moments);
}  // namespace

void execute(CpuBackend& cpu, const AdamStep& op) {
  for_each_range(cpu.pool(), op.gradient.size(), elementwise_piece,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   HWY_DYNAMIC_DISPATCH(follow_moments)
                   (op, &host(op.mean)[first], &host(op.square)[first], &host(op.gradient)[first],
                    last - first);
                 });
}

template std::shared_ptr<OptimiserSteps> make_family(CpuBackend&, double&);

}  // namespace orthospike
#endif
