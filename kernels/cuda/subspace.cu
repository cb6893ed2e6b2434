#include <thrust/for_each.h>

#include "kernels/cuda/context.hpp"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/thrust_policy.cuh"

namespace orthospike {

namespace {

constexpr unsigned update_threads = 256;
constexpr unsigned settle_threads = 256;

/// The element-wise part of a Hebbian step. Clamping keeps NaN, as std::clamp does.
__global__ void __launch_bounds__(update_threads)
    hebbian_update(const HebbianStep step, const float* __restrict__ correlation,
                   float* __restrict__ velocity, float* __restrict__ h, std::size_t size) {
  const std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const float scaled = step.scale * correlation[i];
  const float change = scaled < -step.clamp ? -step.clamp : scaled > step.clamp ? step.clamp : scaled;
  const float v = step.momentum * velocity[i] + (1.0F - step.momentum) * change;
  velocity[i] = v;
  h[i] += step.learning_rate * v;
}

/// Clamping keeps NaN, as std::clamp does.
struct Quantise {
  float scale;
  float levels;
  __host__ __device__ void operator()(float& value) const {
    const float bounded = value < -scale ? -scale : value > scale ? scale : value;
    value = rintf(bounded / scale * levels) / levels * scale;
  }
};

/// All steps of one neuron a thread.
__global__ void __launch_bounds__(update_threads)
    signed_spikes(float scale, std::uint32_t steps, float* values, std::uint32_t* spikes, std::size_t size) {
  const std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const float current = values[i];
  float u = 0;
  float balance = 0;
  std::uint32_t emitted = 0;
  for (std::uint32_t t = 0; t < steps; ++t) {
    u += current;
    const bool fires = fabsf(u) >= scale / 2;
    balance += fires ? copysignf(1.0F, u) : 0.0F;
    u -= fires ? copysignf(scale, u) : 0.0F;
    emitted += fires ? 1U : 0U;
  }
  values[i] = u != u ? u : balance / static_cast<float>(steps) * scale;
  spikes[i] = emitted;
}

/// One row of Backend::settle_by_spikes a block. All threads see the same potential of the neuron whose turn it
/// is, and so take the same branches; only spikes make them wait for each other.
__global__ void __launch_bounds__(settle_threads)
    settle_row(float height, std::size_t sweeps, const float* __restrict__ inhibition, std::size_t n,
               float* potentials, float* activities) {
  float* const potential = potentials + blockIdx.x * n;
  float* const activity = activities + blockIdx.x * n;
  for (std::size_t j = threadIdx.x; j < n; j += blockDim.x) activity[j] = 0;
  bool fired = true;
  for (std::size_t sweep = 0; sweep < sweeps && fired; ++sweep) {
    fired = false;
    for (std::size_t i = 0; i < n; ++i) {
      const float* const weights = inhibition + i * n;
      const float spikes = rintf(potential[i] * (1.0F / (height * (1.0F + weights[i]))));
      if (spikes == 0) continue;
      fired = true;
      const float change = spikes * height;
      __syncthreads();  // or some would change potential[i] before others have read it
      for (std::size_t j = threadIdx.x; j < n; j += blockDim.x) {
        const float left = fmaf(-change, weights[j], potential[j]);
        potential[j] = j == i ? left - change : left;
        if (j == i) activity[j] += change;
      }
      __syncthreads();
    }
  }
  bool numbers = true;
  for (std::size_t j = threadIdx.x; j < n; j += blockDim.x) numbers = numbers && potential[j] == potential[j];
  if (__syncthreads_and(numbers ? 1 : 0) != 0) return;
  for (std::size_t j = threadIdx.x; j < n; j += blockDim.x) activity[j] = nanf("");
}

/// One block: row ← row / ‖row‖
__global__ void __launch_bounds__(most_threads) normalise(float* row, std::size_t size) {
  double sum = 0;
  for (std::size_t j = threadIdx.x; j < size; j += blockDim.x)
    sum += static_cast<double>(row[j]) * static_cast<double>(row[j]);
  const double norm = sqrt(block_sum(sum));
  for (std::size_t j = threadIdx.x; j < size; j += blockDim.x)
    row[j] = static_cast<float>(static_cast<double>(row[j]) / norm);
}

}  // namespace

void CudaBackend::do_remove_subspace(ConstMatrix h, ConstMatrix x, Matrix residual) {
  if (h.empty() || x.empty()) {
    if (x.address() != residual.address())
      do_copy(x.address(), residual.address(), x.values.size() * sizeof(float));
    return;
  }
  const Matrix response = scratch(x.rows, h.rows);
  do_multiply(1.0F, x, Transpose::no, h, Transpose::yes, 0.0F, response, response);
  do_multiply(-1.0F, response, Transpose::no, h, Transpose::no, 1.0F, x, residual);
}

void CudaBackend::do_quantise(float scale, std::size_t levels, View<float> values) {
  thrust::for_each(thrust_policy(context_->stream), values.address(), values.address() + values.size(),
                   Quantise{scale, static_cast<float>(levels)});
}

void CudaBackend::do_spike_signed(float scale, std::size_t steps, View<float> values,
                                  View<std::uint32_t> spikes) {
  if (values.empty()) return;
  launch(signed_spikes, blocks_for(values.size(), update_threads), update_threads, 0, context_->stream, scale,
         static_cast<std::uint32_t>(steps), values.address(), spikes.address(), values.size());
}

void CudaBackend::do_settle_by_spikes(float height, std::size_t sweeps, ConstMatrix inhibition,
                                      Matrix potential, Matrix activity) {
  launch(settle_row, static_cast<unsigned>(potential.rows), settle_threads, 0, context_->stream, height,
         sweeps, inhibition.address(), inhibition.cols, potential.address(), activity.address());
}

void CudaBackend::do_hebbian_step(const HebbianStep& step, ConstMatrix correlation, Matrix velocity,
                                  Matrix h) {
  if (h.empty()) return;
  launch(hebbian_update, blocks_for(h.values.size(), update_threads), update_threads, 0, context_->stream,
         step, correlation.address(), velocity.address(), h.address(), h.values.size());
}

void CudaBackend::do_hebbian_step(const HebbianStep& step, ConstMatrix response, ConstMatrix residual,
                                  Matrix velocity, Matrix h) {
  if (h.empty()) return;
  const Matrix correlation = scratch(h.rows, h.cols);
  do_multiply(1.0F, response, Transpose::yes, residual, Transpose::no, 0.0F, correlation, correlation);
  do_hebbian_step(step, correlation, velocity, h);
}

/// Serial over rows; each is two matrix-vector products with the rows before.
void CudaBackend::do_orthonormalise_rows(Matrix h, std::size_t first) {
  if (h.empty()) return;
  cublasHandle_t const blas = context_->blas.get();
  const int n = blas_size(h.cols);
  const float one = 1, minus_one = -1, zero = 0;
  float* const overlap = scratch(1, h.rows).address();
  for (std::size_t i = first; i < h.rows; ++i) {
    float* const row = h.address() + i * h.cols;
    const int earlier = blas_size(i);
    for (int pass = 0; pass < 2; ++pass) {
      if (earlier > 0) {  // cuBLAS sees the earlier rows as the columns of an [n × earlier] matrix
        check(cublasSgemv(blas, CUBLAS_OP_T, n, earlier, &one, h.address(), n, row, 1, &zero, overlap, 1),
              "cublasSgemv");
        check(
            cublasSgemv(blas, CUBLAS_OP_N, n, earlier, &minus_one, h.address(), n, overlap, 1, &one, row, 1),
            "cublasSgemv");
      }
      launch(normalise, 1, most_threads, 0, context_->stream, row, h.cols);
    }
  }
}

}  // namespace orthospike
