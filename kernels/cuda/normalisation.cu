#include "kernels/normalisation.hpp"

#include <algorithm>

#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/reduce.cuh"

namespace orthospike {

namespace {

constexpr unsigned channel_threads = 256;
constexpr unsigned warps_of_block = channel_threads / warp_size;
/// A grid for sums over rows: its blocks have some rows, and as many channels as a warp has lanes.
constexpr std::size_t most_pieces = 256, fewest_rows = 64;

/// What a row adds to two sums of a channel.
struct Terms {
  double first, second;
};

struct Values {
  const float* x;
  std::size_t channels;

  __device__ Terms operator()(std::size_t row, std::size_t channel) const {
    return {x[row * channels + channel], 0};
  }
};

struct SquaredDeviations {
  const float* x;
  const float* mean;
  std::size_t channels;

  __device__ Terms operator()(std::size_t row, std::size_t channel) const {
    const double deviation = static_cast<double>(x[row * channels + channel]) - mean[channel];
    return {deviation * deviation, 0};
  }
};

struct Errors {
  const float* errors;
  const float* normalised;
  std::size_t error_rows, normalised_rows, channels;

  __device__ Terms operator()(std::size_t row, std::size_t channel) const {
    const double error = errors[row % error_rows * channels + channel];
    return {error, error * normalised[row % normalised_rows * channels + channel]};
  }
};

/// partial[piece, channel] ← sums of the piece's rows; warps take rows in turn, lanes channels.
template <class Read>
__global__ void __launch_bounds__(channel_threads)
    sum_pieces(Read read, std::size_t rows, std::size_t rows_of_piece, std::size_t channels, Terms* partial) {
  __shared__ double firsts[channel_threads];
  __shared__ double seconds[channel_threads];
  const std::size_t groups = (channels + warp_size - 1) / warp_size;
  const std::size_t piece = blockIdx.x / groups;
  const std::size_t channel = blockIdx.x % groups * warp_size + lane_number();
  const std::size_t end = rows_of_piece * (piece + 1) < rows ? rows_of_piece * (piece + 1) : rows;
  Terms sum{0, 0};
  if (channel < channels) {
    for (std::size_t row = rows_of_piece * piece + warp_number(); row < end; row += warps_of_block) {
      const Terms here = read(row, channel);
      sum.first += here.first;
      sum.second += here.second;
    }
  }
  firsts[threadIdx.x] = sum.first;
  seconds[threadIdx.x] = sum.second;
  __syncthreads();
  if (warp_number() > 0 || channel >= channels) return;
  for (unsigned warp = 1; warp < warps_of_block; ++warp) {
    sum.first += firsts[warp * warp_size + threadIdx.x];
    sum.second += seconds[warp * warp_size + threadIdx.x];
  }
  partial[piece * channels + channel] = sum;
}

/// Gives every channel a thread.
__global__ void __launch_bounds__(channel_threads)
    add_pieces(const Terms* __restrict__ partial, std::size_t pieces, std::size_t channels, double scale,
               float* first, float* second) {
  const std::size_t channel = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (channel >= channels) return;
  Terms sum{0, 0};
  for (std::size_t piece = 0; piece < pieces; ++piece) {
    sum.first += partial[piece * channels + channel].first;
    sum.second += partial[piece * channels + channel].second;
  }
  first[channel] = static_cast<float>(scale * sum.first);
  if (second != nullptr) second[channel] = static_cast<float>(scale * sum.second);
}

/// first and, where there is one, second ← scale · sums over all rows.
template <class Read>
void sum_rows(CudaContext& cuda, const Read& read, std::size_t rows, double scale, View<float> first,
              float* second) {
  const std::size_t channels = first.size();
  const std::size_t rows_of_piece = std::max(fewest_rows, (rows + most_pieces - 1) / most_pieces);
  const std::size_t pieces = (rows + rows_of_piece - 1) / rows_of_piece;
  const std::size_t groups = (channels + warp_size - 1) / warp_size;
  constexpr std::size_t floats = sizeof(Terms) / sizeof(float);
  auto* const partial = reinterpret_cast<Terms*>(cuda.scratch(pieces, channels * floats).address());
  launch(sum_pieces<Read>, static_cast<unsigned>(pieces * groups), channel_threads, 0, cuda.stream, read,
         rows, rows_of_piece, channels, partial);
  launch(add_pieces, blocks_for(channels, channel_threads), channel_threads, 0, cuda.stream, partial, pieces,
         channels, scale, first, second);
}

__device__ float reciprocal_deviation(float variance, float epsilon) {
  return static_cast<float>(1 / sqrt(static_cast<double>(variance) + epsilon));
}

/// Gives every element a thread, as what follows.
__global__ void __launch_bounds__(channel_threads)
    normalise(const float* x, std::size_t size, std::size_t channels, const float* __restrict__ mean,
              const float* __restrict__ variance, float epsilon, const float* __restrict__ gain,
              const float* __restrict__ offset, float* normalised, float* y) {
  const std::size_t at = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at >= size) return;
  const std::size_t channel = at % channels;
  const float value = (x[at] - mean[channel]) * reciprocal_deviation(variance[channel], epsilon);
  if (normalised != nullptr) normalised[at] = value;
  y[at] = gain[channel] * value + offset[channel];
}

struct ErrorSums {
  const float* error;  ///< null where there are none
  const float* product;
  float share;  ///< of one row
};

__global__ void __launch_bounds__(channel_threads)
    errors_before(float scale, const float* errors, std::size_t error_size, const float* normalised,
                  std::size_t normalised_size, const float* __restrict__ variance, float epsilon,
                  const float* __restrict__ gain, ErrorSums sums, std::size_t channels, std::size_t size,
                  float* x_errors) {
  const std::size_t at = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at >= size) return;
  const std::size_t channel = at % channels;
  float value = scale * errors[at % error_size];
  if (sums.error != nullptr)
    value -= sums.share * (sums.error[channel] + normalised[at % normalised_size] * sums.product[channel]);
  x_errors[at] = gain[channel] * reciprocal_deviation(variance[channel], epsilon) * value;
}

}  // namespace

void execute(CudaContext& cuda, const MeasureChannels& op) {
  const double share = 1 / static_cast<double>(op.x.rows);
  sum_rows(cuda, Values{op.x.address(), op.x.cols}, op.x.rows, share, op.mean, nullptr);
  sum_rows(cuda, SquaredDeviations{op.x.address(), op.mean.address(), op.x.cols}, op.x.rows, share,
           op.variance, nullptr);
}

void execute(CudaContext& cuda, const NormaliseChannels& op) {
  const std::size_t size = op.x.values.size();
  launch(normalise, blocks_for(size, channel_threads), channel_threads, 0, cuda.stream, op.x, size, op.x.cols,
         op.mean, op.variance, op.epsilon, op.gain, op.offset,
         op.normalised.empty() ? nullptr : op.normalised.address(), op.y);
}

void execute(CudaContext& cuda, const SumChannels& op) {
  sum_rows(cuda,
           Errors{op.errors.address(), op.normalised.address(), op.errors.rows, op.normalised.rows,
                  op.errors.cols},
           op.rows(), op.scale, op.error, op.product.address());
}

void execute(CudaContext& cuda, const NormalisationBackward& op) {
  const std::size_t size = op.x_errors.values.size();
  const bool takes_sums = op.takes_sums();
  const ErrorSums sums{.error = takes_sums ? op.error.address() : nullptr,
                       .product = takes_sums ? op.product.address() : nullptr,
                       .share = 1.0F / static_cast<float>(op.x_errors.rows)};
  launch(errors_before, blocks_for(size, channel_threads), channel_threads, 0, cuda.stream, op.scale,
         op.errors, op.errors.values.size(), takes_sums ? op.normalised.address() : nullptr,
         op.normalised.values.size(), op.variance, op.epsilon, op.gain, sums, op.x_errors.cols, size,
         op.x_errors);
}

template std::shared_ptr<NormalisationSteps> make_family(CudaContext&, double&);

}  // namespace orthospike
