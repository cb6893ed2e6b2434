#include "kernels/normalisation.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/host_view.hpp"

namespace orthospike {

namespace {

/// Rows whose sums are kept in float, and such blocks in one piece of the work. A piece more has sums of its own.
constexpr std::size_t block_values = 8192, most_pieces = 64;

std::size_t rows_of_block(std::size_t channels) {
  return std::clamp<std::size_t>(block_values / channels, 1, 256);
}

/// Calls work(piece, first, last) for the rows, in whole blocks.
template <class Work>
std::size_t for_each_piece(ThreadPool& pool, std::size_t rows, std::size_t channels, const Work& work) {
  const std::size_t block = rows_of_block(channels);
  const std::size_t blocks = (rows + block - 1) / block;
  const std::size_t length = (blocks + most_pieces - 1) / most_pieces * block;
  for_each_range(pool, rows, length, work);
  return (rows + length - 1) / length;
}

/// Means of some rows, and sums of squared deviations from them.
struct Moments {
  explicit Moments(std::size_t channels) : means(channels), squares(channels) {}

  /// Those of further rows (Chan et al., 1979).
  void add(double rows, std::span<const double> of_means, std::span<const double> of_squares) {
    const double all = count + rows;
    for (std::size_t c = 0; c < means.size(); ++c) {
      const double apart = of_means[c] - means[c];
      means[c] += apart * rows / all;
      squares[c] += of_squares[c] + apart * apart * count * rows / all;
    }
    count = all;
  }

  double count = 0;
  std::vector<double> means, squares;
};

Moments measure(const HostMatrix<const float>& x, std::size_t first, std::size_t last) {
  const std::size_t channels = x.cols;
  Moments moments(channels);
  std::vector<float> sums(channels), squares(channels);
  std::vector<double> block_means(channels), block_squares(channels);
  for (std::size_t block = first; block < last; block += rows_of_block(channels)) {
    const std::size_t end = std::min(last, block + rows_of_block(channels));
    const auto rows = static_cast<float>(end - block);
    std::ranges::fill(sums, 0.0F);
    for (std::size_t r = block; r < end; ++r) {
      const float* const from = x.row(r).data();
      for (std::size_t c = 0; c < channels; ++c) sums[c] += from[c];
    }
    for (std::size_t c = 0; c < channels; ++c) block_means[c] = sums[c] /= rows;
    std::ranges::fill(squares, 0.0F);
    for (std::size_t r = block; r < end; ++r) {
      const float* const from = x.row(r).data();
      for (std::size_t c = 0; c < channels; ++c) squares[c] += (from[c] - sums[c]) * (from[c] - sums[c]);
    }
    std::ranges::copy(squares, block_squares.begin());
    moments.add(rows, block_means, block_squares);
  }
  return moments;
}

struct ErrorSums {
  explicit ErrorSums(std::size_t channels) : errors(channels), products(channels) {}

  std::vector<double> errors, products;
};

ErrorSums sum(const HostMatrix<const float>& errors, const HostMatrix<const float>& normalised,
              std::size_t first, std::size_t last) {
  const std::size_t channels = errors.cols;
  ErrorSums sums(channels);
  std::vector<float> of_errors(channels), of_products(channels);
  for (std::size_t block = first; block < last; block += rows_of_block(channels)) {
    const std::size_t end = std::min(last, block + rows_of_block(channels));
    std::ranges::fill(of_errors, 0.0F);
    std::ranges::fill(of_products, 0.0F);
    for (std::size_t r = block; r < end; ++r) {
      const float* const error = errors.row(r % errors.rows).data();
      const float* const value = normalised.row(r % normalised.rows).data();
      for (std::size_t c = 0; c < channels; ++c) {
        of_errors[c] += error[c];
        of_products[c] += error[c] * value[c];
      }
    }
    for (std::size_t c = 0; c < channels; ++c) {
      sums.errors[c] += of_errors[c];
      sums.products[c] += of_products[c];
    }
  }
  return sums;
}

std::vector<float> reciprocal_deviations(std::span<const float> variances, float epsilon) {
  std::vector<float> result(variances.size());
  std::ranges::transform(variances, result.begin(), [&](float variance) {
    return static_cast<float>(1 / std::sqrt(static_cast<double>(variance) + epsilon));
  });
  return result;
}

std::size_t rows_of_elementwise(std::size_t channels) {
  return std::max<std::size_t>(1, elementwise_piece / channels);
}

}  // namespace

void execute(CpuBackend& cpu, const MeasureChannels& op) {
  const auto x = host(op.x);
  std::vector<Moments> pieces(most_pieces, Moments(x.cols));
  const std::size_t count =
      for_each_piece(cpu.pool(), x.rows, x.cols, [&](std::size_t piece, std::size_t first, std::size_t last) {
        pieces[piece] = measure(x, first, last);
      });
  Moments all(x.cols);
  for (std::size_t piece = 0; piece < count; ++piece)
    all.add(pieces[piece].count, pieces[piece].means, pieces[piece].squares);
  for (std::size_t c = 0; c < x.cols; ++c) {
    host(op.mean)[c] = static_cast<float>(all.means[c]);
    host(op.variance)[c] = static_cast<float>(all.squares[c] / all.count);
  }
}

void execute(CpuBackend& cpu, const NormaliseChannels& op) {
  const auto x = host(op.x);
  const auto normalised = host(op.normalised), y = host(op.y);
  const auto mean = host(op.mean), gain = host(op.gain), offset = host(op.offset);
  const std::vector<float> factor = reciprocal_deviations(host(op.variance), op.epsilon);
  for_each_range(cpu.pool(), x.rows, rows_of_elementwise(x.cols),
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t r = first; r < last; ++r) {
                     const float* const from = x.row(r).data();
                     float* const to = y.row(r).data();
                     if (normalised.rows == 0) {
                       for (std::size_t c = 0; c < x.cols; ++c)
                         to[c] = gain[c] * ((from[c] - mean[c]) * factor[c]) + offset[c];
                       continue;
                     }
                     float* const kept = normalised.row(r).data();
                     for (std::size_t c = 0; c < x.cols; ++c) {
                       kept[c] = (from[c] - mean[c]) * factor[c];
                       to[c] = gain[c] * kept[c] + offset[c];
                     }
                   }
                 });
}

void execute(CpuBackend& cpu, const SumChannels& op) {
  const auto errors = host(op.errors), normalised = host(op.normalised);
  const std::size_t channels = errors.cols;
  std::vector<ErrorSums> pieces(most_pieces, ErrorSums(channels));
  const std::size_t count = for_each_piece(cpu.pool(), op.rows(), channels,
                                           [&](std::size_t piece, std::size_t first, std::size_t last) {
                                             pieces[piece] = sum(errors, normalised, first, last);
                                           });
  for (std::size_t c = 0; c < channels; ++c) {
    double error = 0, product = 0;
    for (std::size_t piece = 0; piece < count; ++piece) {
      error += pieces[piece].errors[c];
      product += pieces[piece].products[c];
    }
    host(op.error)[c] = static_cast<float>(op.scale * error);
    host(op.product)[c] = static_cast<float>(op.scale * product);
  }
}

void execute(CpuBackend& cpu, const NormalisationBackward& op) {
  const auto errors = host(op.errors), normalised = host(op.normalised);
  const auto x_errors = host(op.x_errors);
  const auto error = host(op.error), product = host(op.product), gain = host(op.gain);
  std::vector<float> factor = reciprocal_deviations(host(op.variance), op.epsilon);
  for (std::size_t c = 0; c < factor.size(); ++c) factor[c] *= gain[c];
  const float share = 1.0F / static_cast<float>(x_errors.rows), scale = op.scale;
  for_each_range(cpu.pool(), x_errors.rows, rows_of_elementwise(x_errors.cols),
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t r = first; r < last; ++r) {
                     const float* const from = errors.row(r % errors.rows).data();
                     float* const to = x_errors.row(r).data();
                     if (!op.takes_sums()) {
                       for (std::size_t c = 0; c < factor.size(); ++c) to[c] = factor[c] * (scale * from[c]);
                       continue;
                     }
                     const float* const value = normalised.row(r % normalised.rows).data();
                     for (std::size_t c = 0; c < factor.size(); ++c)
                       to[c] = factor[c] * (scale * from[c] - share * (error[c] + value[c] * product[c]));
                   }
                 });
}

template std::shared_ptr<NormalisationSteps> make_family(CpuBackend&, double&);

}  // namespace orthospike
