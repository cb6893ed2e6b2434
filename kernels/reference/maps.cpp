#include "kernels/maps.hpp"

#include <algorithm>
#include <vector>

#include "kernels/host_view.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

namespace {

/// Calls see(place, in_patch, in_map) for each pixel that the kernel sees from each place: where the pixel's channels of
/// the place's group begin in the patch and in the map.
template <class See>
void for_each_seen(const Window& window, const See& see) {
  for (std::size_t place = 0; place < window.places(); ++place) {
    const Place from = window.place(place);
    const std::size_t channel = from.group * window.group_channels();
    for (std::size_t ky = 0; ky < window.kernel; ++ky) {
      for (std::size_t kx = 0; kx < window.kernel; ++kx) {
        // What lies before the map wraps to numbers that lie behind it.
        const std::size_t y = from.y * window.stride + ky - window.padding;
        const std::size_t x = from.x * window.stride + kx - window.padding;
        if (y < window.map.height && x < window.map.width)
          see(place, window.patch_pixel(ky, kx) + channel, window.map.pixel(y, x) + channel);
      }
    }
  }
}

/// How many of a row's spikes are events of each element of the window's map.
template <class Operation>
std::vector<unsigned> events_of_elements(const Operation& op, std::size_t row) {
  const MapShape map = op.window.map;
  std::vector<unsigned> events(map.size());
  for (const std::uint32_t neuron : spikes_of_row(op.spikes, row)) {
    const std::size_t pixel = neuron / map.channels, width = map.width * op.pooled;
    ++events[map.pixel(pixel / width / op.pooled, pixel % width / op.pooled) + neuron % map.channels];
  }
  return events;
}

double kept(float beta, float value) {
  return beta == 0.0F ? 0.0 : static_cast<double>(beta) * value;
}

}  // namespace

void execute(ReferenceBackend&, const Unfold& op) {
  const auto maps = host(op.maps);
  const auto patches = host(op.patches);
  std::ranges::fill(patches.values, 0.0F);
  for (std::size_t row = 0; row < maps.rows; ++row) {
    for_each_seen(op.window, [&](std::size_t place, std::size_t in_patch, std::size_t in_map) {
      for (std::size_t c = 0; c < op.window.group_channels(); ++c)
        patches(row * op.window.places() + place, in_patch + c) = maps(row, in_map + c);
    });
  }
}

void execute(ReferenceBackend&, const Fold& op) {
  const auto patches = host(op.patches);
  const auto maps = host(op.maps);
  std::vector<double> sums(maps.cols);
  for (std::size_t row = 0; row < maps.rows; ++row) {
    std::ranges::fill(sums, 0.0);
    for_each_seen(op.window, [&](std::size_t place, std::size_t in_patch, std::size_t in_map) {
      for (std::size_t c = 0; c < op.window.group_channels(); ++c)
        sums[in_map + c] += patches(row * op.window.places() + place, in_patch + c);
    });
    for (std::size_t i = 0; i < maps.cols; ++i)
      maps(row, i) = static_cast<float>(sums[i] + kept(op.beta, maps(row, i)));
  }
}

void execute(ReferenceBackend&, const Pool& op) {
  const auto maps = host(op.maps);
  const auto pooled = host(op.pooled);
  const MapShape to = op.map.pooled(op.size);
  for (std::size_t row = 0; row < maps.rows; ++row) {
    for (std::size_t i = 0; i < to.size(); ++i) {
      const std::size_t y = i / to.channels / to.width, x = i / to.channels % to.width, c = i % to.channels;
      double sum = 0;
      for (std::size_t dy = 0; dy < op.size; ++dy) {
        for (std::size_t dx = 0; dx < op.size; ++dx)
          sum += maps(row, op.map.pixel(y * op.size + dy, x * op.size + dx) + c);
      }
      pooled(row, i) = static_cast<float>(sum / static_cast<double>(op.size * op.size));
    }
  }
}

void execute(ReferenceBackend&, const Unpool& op) {
  const auto pooled = host(op.pooled);
  const auto maps = host(op.maps);
  const MapShape from = op.map.pooled(op.size);
  for (std::size_t row = 0; row < maps.rows; ++row) {
    for (std::size_t i = 0; i < op.map.size(); ++i) {
      const std::size_t pixel = i / op.map.channels, c = i % op.map.channels;
      const std::size_t y = pixel / op.map.width / op.size, x = pixel % op.map.width / op.size;
      const bool left_out = y >= from.height || x >= from.width;
      const double value = left_out ? 0.0 : pooled(row, from.pixel(y, x) + c);
      maps(row, i) =
          static_cast<float>(value / static_cast<double>(op.size * op.size) + kept(op.beta, maps(row, i)));
    }
  }
}

void execute(ReferenceBackend&, const DeliverConvolved& op) {
  const auto weights = host(op.weights);
  const auto currents = host(op.currents);
  const double scale =
      host(op.height)[0] / (static_cast<double>(op.dt) * static_cast<double>(op.pooled * op.pooled));
  const auto offset = [&](std::size_t channel) { return op.offset.empty() ? 0.0 : host(op.offset)[channel]; };
  std::vector<double> sums(currents.cols);
  for (std::size_t row = 0; row < currents.rows; ++row) {
    const std::vector<unsigned> events = events_of_elements(op, row);
    std::ranges::fill(sums, 0.0);
    for_each_seen(op.window, [&](std::size_t place, std::size_t in_patch, std::size_t in_map) {
      for (std::size_t c = 0; c < op.window.group_channels(); ++c) {
        if (events[in_map + c] == 0) continue;
        for (std::size_t m = 0; m < weights.cols; ++m)
          sums[place * weights.cols + m] +=
              static_cast<double>(events[in_map + c]) * weights(in_patch + c, m);
      }
    });
    for (std::size_t j = 0; j < currents.cols; ++j)
      currents(row, j) = static_cast<float>(scale * sums[j] + offset(j % weights.cols));
  }
}

void execute(ReferenceBackend&, const CorrelateConvolved& op) {
  const auto b = host(op.b);
  const auto sum = host(op.sum);
  const double height = op.height.empty() ? 1.0 : host(op.height)[0];
  const double scale = height / (static_cast<double>(op.dt) * static_cast<double>(op.pooled * op.pooled));
  std::vector<double> sums(sum.values.size());
  for (std::size_t row = 0; row < b.rows; ++row) {
    const std::vector<unsigned> events = events_of_elements(op, row);
    for_each_seen(op.window, [&](std::size_t place, std::size_t in_patch, std::size_t in_map) {
      for (std::size_t c = 0; c < op.window.group_channels(); ++c) {
        if (events[in_map + c] == 0) continue;
        for (std::size_t m = 0; m < sum.cols; ++m)
          sums[(in_patch + c) * sum.cols + m] +=
              static_cast<double>(events[in_map + c]) * b(row, place * sum.cols + m);
      }
    });
  }
  for (std::size_t i = 0; i < sums.size(); ++i)
    sum.values[i] = static_cast<float>(scale * sums[i] + kept(op.beta, sum.values[i]));
}

template std::shared_ptr<Maps> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
