#include "kernels/cuda/context.hpp"
#include "kernels/cuda/reduce.cuh"
#include "kernels/loss.hpp"

namespace orthospike {

namespace {

struct Logit {
  float value;
  std::uint32_t number;  ///< of its class
};

/// The larger one, of equals the first.
__device__ Logit larger(Logit a, Logit b) {
  return a.value > b.value || (a.value == b.value && a.number < b.number) ? a : b;
}

/// The row's largest logit among those of the target, in every lane. Rows with NaN give any.
__device__ Logit largest_logit(const float* row, Target target) {
  Logit largest{-INFINITY, 0xffffffffU};
  for (std::uint32_t c = target.first + lane_number(); c <= target.last; c += warp_size)
    largest = larger(largest, {row[c], c});
  for (unsigned distance = warp_size / 2; distance > 0; distance /= 2) {
    const auto lanes = static_cast<int>(distance);
    largest = larger(largest, {__shfl_xor_sync(whole_warp, largest.value, lanes),
                               __shfl_xor_sync(whole_warp, largest.number, lanes)});
  }
  return largest;
}

/// One block for all samples, each warp one at a time: a batch has some hundred logits, and the sum of the
/// losses has one order.
__global__ void __launch_bounds__(most_threads)
    softmax_losses(const float* __restrict__ logits, std::size_t rows, std::size_t batch,
                   std::uint32_t classes, const Target* __restrict__ targets, float weight,
                   float* __restrict__ gradients, double* loss, std::uint32_t* correct) {
  const unsigned lane = lane_number();
  const auto share = weight / static_cast<float>(rows);
  double losses = 0;
  std::uint32_t hits = 0;
  for (std::size_t b = warp_number(); b < rows; b += blockDim.x / warp_size) {
    const float* const row = logits + b * classes;
    float* const gradient = gradients + b * classes;
    const Target target = targets[b % batch];
    const auto takes_part = [&](std::uint32_t c) { return c >= target.first && c <= target.last; };
    const Logit largest = largest_logit(row, target);
    float sum = 0;
    bool has_nan = false;
    for (std::uint32_t c = lane; c < classes; c += warp_size) {
      gradient[c] = takes_part(c) ? expf(row[c] - largest.value) : 0.0F;
      sum += gradient[c];
      has_nan = has_nan || (takes_part(c) && isnan(row[c]));
    }
    sum = warp_sum(sum);
    has_nan = __ballot_sync(whole_warp, has_nan) != 0;
    for (std::uint32_t c = lane; c < classes; c += warp_size) {
      if (takes_part(c)) gradient[c] = gradient[c] / sum * share - (c == target.label ? share : 0.0F);
    }
    if (lane == 0) {
      losses += static_cast<double>(logf(sum)) + static_cast<double>(largest.value) -
                static_cast<double>(row[target.label]);
      hits += !has_nan && largest.number == target.label ? 1U : 0U;
    }
  }
  losses = block_sum(losses);
  hits = block_sum(hits);
  if (threadIdx.x == 0) {
    *loss += losses * static_cast<double>(weight) * static_cast<double>(batch) / static_cast<double>(rows);
    *correct += hits;
  }
}

/// A warp for each row.
__global__ void __launch_bounds__(most_threads)
    mark_correct_rows(const float* __restrict__ logits, std::size_t rows, std::uint32_t classes,
                      const Target* __restrict__ targets, float* __restrict__ right) {
  const std::size_t b = std::size_t{blockIdx.x} * (blockDim.x / warp_size) + warp_number();
  if (b >= rows) return;
  const float* const row = logits + b * classes;
  const Target target = targets[b];
  bool has_nan = false;
  for (std::uint32_t c = target.first + lane_number(); c <= target.last; c += warp_size)
    has_nan = has_nan || isnan(row[c]);
  has_nan = __ballot_sync(whole_warp, has_nan) != 0;
  const Logit largest = largest_logit(row, target);
  if (lane_number() == 0) right[b] = !has_nan && largest.number == target.label ? 1.0F : 0.0F;
}

}  // namespace

void execute(CudaContext& cuda, const MarkCorrect& op) {
  launch(mark_correct_rows, blocks_for(op.logits.rows, most_threads / warp_size), most_threads, 0,
         cuda.stream, op.logits, op.logits.rows, static_cast<std::uint32_t>(op.logits.cols), op.targets,
         op.right);
}

void execute(CudaContext& cuda, const CrossEntropy& op) {
  launch(softmax_losses, 1, most_threads, 0, cuda.stream, op.logits, op.logits.rows, op.targets.size(),
         static_cast<std::uint32_t>(op.logits.cols), op.targets, op.weight, op.logit_gradient, op.loss,
         op.correct);
}

template std::shared_ptr<Loss> make_family(CudaContext&, double&);

}  // namespace orthospike
