#include "sim/connections/convolution.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/maps.hpp"

namespace orthospike {

namespace {

/// Additions of a weight that one spike of each source causes.
double synapses(const Window& window, std::size_t channels, std::size_t pooled) {
  std::size_t rows = 0, columns = 0;
  for (std::size_t y = 0; y < window.out_height(); ++y) rows += window.rows_seen(y).size();
  for (std::size_t x = 0; x < window.out_width(); ++x) columns += window.columns_seen(x).size();
  return static_cast<double>(rows * columns * window.map.channels * channels / window.groups * pooled *
                             pooled);
}

Connection::Sizes sizes(const Window& window, std::size_t channels, std::size_t pooled) {
  require(window.fits() && channels > 0 && pooled > 0, "convolution", "the kernel has no place in the map");
  require(channels % window.groups == 0, "convolution", "its channels are not as many for each group");
  const std::size_t sources = window.map.size() * pooled * pooled;
  return {.sources = sources,
          .targets = window.out_height() * window.out_width() * channels,
          .presynaptic = window.patch(),
          .outputs = channels / window.groups,
          .places = window.places(),
          .fan_out = synapses(window, channels, pooled) / static_cast<double>(sources)};
}

}  // namespace

Convolution::Convolution(const Window& window, std::size_t channels, std::size_t pooled)
    : Connection(sizes(window, channels, pooled)),
      window_(window),
      pooled_(pooled),
      patches_(window.places() * window.patch()),
      pooled_maps_(window.map.size()) {}

InitialWeights Convolution::initial_weights() const {
  const bool joins_all = window_.patch() == window_.map.size() && window_.padding == 0;
  if (joins_all && window_.groups == 1) return Connection::initial_weights();
  const std::size_t fan_out = window_.kernel * window_.kernel * outputs();
  return {.distribution = InitialWeights::Distribution::normal,
          .scale = std::sqrt(2.0F / static_cast<float>(fan_out))};
}

MapShape Convolution::source() const {
  return {window_.map.height * pooled_, window_.map.width * pooled_, window_.map.channels};
}

void Convolution::unfold(Backend& backend, ConstMatrix values, const Window& window, Matrix patches) const {
  const std::size_t places = window.places();
  if (pooled_ == 1) {
    backend.maps().run(Unfold{.maps = values, .window = window, .patches = patches});
    return;
  }
  for_each_chunk(values.rows, pooled_maps_.most_rows(), [&](std::size_t first, std::size_t count) {
    const Matrix pooled = pooled_maps_.matrix(backend, count);
    backend.maps().run(
        Pool{.maps = values.row_range(first, count), .map = source(), .size = pooled_, .pooled = pooled});
    backend.maps().run(Unfold{
        .maps = pooled, .window = window, .patches = patches.row_range(first * places, count * places)});
  });
}

void Convolution::deliver_values(Backend& backend, ConstMatrix weights, ConstMatrix values,
                                 Matrix currents) const {
  for_each_chunk(values.rows, patches_.most_rows(), [&](std::size_t first, std::size_t count) {
    const Matrix patches{patches_.matrix(backend, count).values, count * places(), presynaptic()};
    unfold(backend, values.row_range(first, count), window_, patches);
    backend.dense().run(
        Multiply{.a = patches,
                 .b = weights,
                 .c = {currents.row_range(first, count).values, count * places(), outputs()}});
  });
}

void Convolution::deliver_spikes(Backend& backend, ConstMatrix weights, const SentSpikes& sent,
                                 Matrix currents, View<const float> offset) const {
  if (is_dense(backend, sent)) {
    Connection::deliver_spikes(backend, weights, sent, currents, offset);
    return;
  }
  backend.maps().run(DeliverConvolved{.spikes = sent.spikes,
                                      .height = sent.height,
                                      .dt = sent.dt,
                                      .pooled = pooled_,
                                      .window = window_,
                                      .weights = weights,
                                      .offset = offset,
                                      .currents = currents});
}

bool Convolution::is_dense(Backend& backend, const SentSpikes& sent) const {
  if (sent.form != DeliveryForm::automatic) return sent.form == DeliveryForm::dense;
  const std::span<const std::uint32_t> counts = backend.in_host_memory(sent.spikes.counts);
  const double spikes = std::accumulate(counts.begin(), counts.end(), 0.0);
  const std::size_t elements = sent.spikes.rows * window_.map.size() * window_.groups;
  return spikes > sent.crossover * static_cast<double>(elements);
}

void Convolution::add_gradient_of_values(Backend& backend, ConstMatrix values, ConstMatrix post, float beta,
                                         Matrix sum) const {
  for_each_chunk(values.rows, patches_.most_rows(), [&](std::size_t first, std::size_t count) {
    const Matrix patches{patches_.matrix(backend, count).values, count * places(), presynaptic()};
    unfold(backend, values.row_range(first, count), window_, patches);
    backend.dense().run(Multiply{.a = patches,
                                 .transpose_a = true,
                                 .b = factors(post.row_range(first, count)),
                                 .beta = first == 0 ? beta : 1.0F,
                                 .c = sum});
  });
}

void Convolution::add_gradient_of_spikes(Backend& backend, const Presynaptic& trace, ConstMatrix post,
                                         float beta, Matrix sum) const {
  backend.maps().run(CorrelateConvolved{.spikes = trace.spikes,
                                        .height = trace.height,
                                        .dt = trace.dt,
                                        .pooled = pooled_,
                                        .window = window_,
                                        .b = post,
                                        .beta = beta,
                                        .sum = sum});
}

void Convolution::return_from(Backend& backend, ConstMatrix weights, ConstMatrix errors,
                              Matrix sources) const {
  const std::size_t most = std::min(patches_.most_rows(), pooled_maps_.most_rows());
  for_each_chunk(errors.rows, most, [&](std::size_t first, std::size_t count) {
    const Matrix patches{patches_.matrix(backend, count).values, count * places(), presynaptic()};
    backend.dense().run(Multiply{
        .a = factors(errors.row_range(first, count)), .b = weights, .transpose_b = true, .c = patches});
    const Matrix into = sources.row_range(first, count);
    const Matrix maps = pooled_ == 1 ? into : pooled_maps_.matrix(backend, count);
    backend.maps().run(Fold{.patches = patches, .window = window_, .maps = maps});
    if (pooled_ > 1)
      backend.maps().run(Unpool{.pooled = maps, .map = source(), .size = pooled_, .maps = into});
  });
}

Presynaptic Convolution::find_rows(Backend& backend, const Presynaptic& trace) const {
  const Matrix patches = grown(backend, rows_, trace.rows * places(), presynaptic());
  unfold(backend, trace, window_, patches);
  return patches;
}

Pairs Convolution::sample(Backend& backend, const Presynaptic& trace, ConstMatrix post,
                          std::size_t every) const {
  const std::size_t step = std::min(every, std::max(window_.out_height(), window_.out_width()));
  Window window = window_;
  window.stride *= step;
  const Matrix patches = grown(backend, sampled_rows_, trace.rows * window.places(), presynaptic());
  unfold(backend, trace, window, patches);
  const std::size_t channels = window_.groups * outputs();
  const Window of_targets{.map = {window_.out_height(), window_.out_width(), channels}, .stride = step};
  const Matrix factors = grown(backend, sampled_factors_, post.rows * window.places(), outputs());
  backend.maps().run(
      Unfold{.maps = post,
             .window = of_targets,
             .patches = {factors.values, post.rows * of_targets.places(), of_targets.patch()}});
  Pairs sampled{patches, factors};
  sampled.trace.rows_of_ranks = trace.rows_of_ranks * window.places();
  return sampled;
}

}  // namespace orthospike
