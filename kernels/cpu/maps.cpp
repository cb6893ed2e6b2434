#include "kernels/maps.hpp"

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "kernels/correlate_densely.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/sum_events.hpp"
#include "kernels/host_view.hpp"

namespace orthospike {

namespace {

/// Calls work(row, line) for each of `lines` lines of so many elements of each row.
template <class Work>
void for_each_line(CpuBackend& cpu, std::size_t rows, std::size_t lines, std::size_t elements,
                   const Work& work) {
  const std::size_t lines_per_piece = std::max<std::size_t>(1, elementwise_piece / elements);
  for_each_range(cpu.pool(), rows * lines, lines_per_piece,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t line = first; line < last; ++line) work(line / lines, line % lines);
                 });
}

void add(std::span<const float> from, float* to) {
  for (std::size_t i = 0; i < from.size(); ++i) to[i] += from[i];
}

/// line ← factor · line; with factor 0 it need not hold numbers.
void scale(float factor, std::span<float> line) {
  if (factor == 1.0F) return;
  for (float& value : line) value = factor == 0.0F ? 0.0F : factor * value;
}

void unfold_place(const Window& window, std::span<const float> map, std::size_t oy, std::size_t ox,
                  std::span<float> patch) {
  const Stretch rows = window.rows_seen(oy), columns = window.columns_seen(ox);
  const std::size_t run = columns.size() * window.map.channels;
  if (rows.size() * columns.size() < window.kernel * window.kernel) std::ranges::fill(patch, 0.0F);
  if (run == 0) return;
  for (std::size_t y = rows.first; y < rows.last; ++y) {
    const std::size_t to = window.patch_pixel(window.in_kernel(oy, y), window.in_kernel(ox, columns.first));
    std::ranges::copy(map.subspan(window.map.pixel(y, columns.first), run), patch.subspan(to).begin());
  }
}

/// Makes room for so many elements, which need not hold numbers.
void grow(std::vector<std::uint32_t>& elements, std::size_t size) {
  if (elements.size() < size) elements.resize(size);
}

/// What `from` has where `to` begins with it; where the next ones go.
std::uint32_t* moved(std::span<const std::uint32_t> elements, std::size_t from, std::size_t to,
                     std::uint32_t* next) {
  const auto shift = static_cast<std::uint32_t>(to - from);  // wraps where it is negative
  for (std::size_t i = 0; i < elements.size(); ++i) next[i] = elements[i] + shift;
  return next + elements.size();
}

/// The spikes of one row as events of the elements of a window's map, in the order of its pixels.
class MapEvents {
 public:
  MapEvents(const MapShape& map, std::size_t pooled)
      : map_(map), pooled_(pooled), spiking_{map.height * pooled, map.width * pooled, map.channels} {}

  void list(std::span<const std::uint32_t> spikes) {
    find_pixels(spikes);
    grow(elements_, spikes.size());
    starts_.clear();
    std::uint32_t* next = elements_.data();
    for (std::size_t y = 0; y < map_.height; ++y) {
      for (std::size_t x = 0; x < map_.width; ++x) {
        starts_.push_back(static_cast<std::size_t>(next - elements_.data()));
        next = add_square(spikes, y, x, next);
      }
    }
    starts_.push_back(static_cast<std::size_t>(next - elements_.data()));
  }
  /// Of `count` pixels from that one on.
  std::span<const std::uint32_t> of_pixels(std::size_t first, std::size_t count) const {
    return std::span(elements_).subspan(starts_[first], starts_[first + count] - starts_[first]);
  }

 private:
  /// By one walk along the spikes, for divisions to find the pixel of each would cost as much as its delivery.
  void find_pixels(std::span<const std::uint32_t> spikes) {
    spiking_starts_.clear();
    std::size_t spike = 0;
    for (std::size_t neuron = 0; neuron <= spiking_.size(); neuron += spiking_.channels) {
      while (spike < spikes.size() && spikes[spike] < neuron) ++spike;
      spiking_starts_.push_back(spike);
    }
  }
  /// From `next` on; where the next ones go.
  std::uint32_t* add_square(std::span<const std::uint32_t> spikes, std::size_t y, std::size_t x,
                            std::uint32_t* next) const {
    for (std::size_t dy = 0; dy < pooled_; ++dy) {
      for (std::size_t dx = 0; dx < pooled_; ++dx) {
        const std::size_t pixel = (y * pooled_ + dy) * spiking_.width + x * pooled_ + dx;
        next =
            moved(spikes.subspan(spiking_starts_[pixel], spiking_starts_[pixel + 1] - spiking_starts_[pixel]),
                  pixel * spiking_.channels, map_.pixel(y, x), next);
      }
    }
    return next;
  }

  MapShape map_;
  std::size_t pooled_;
  MapShape spiking_;
  std::vector<std::size_t> spiking_starts_, starts_;  ///< of pixels, and the end
  std::vector<std::uint32_t> elements_;
};

/// What the kernel sees of events from the places of one row of the output, as events of the elements of patches.
class PatchEvents {
 public:
  explicit PatchEvents(std::size_t places) : counts_(places), starts_(places) {}

  void list(const Window& window, const MapEvents& events, std::size_t oy) {
    const Stretch rows = window.rows_seen(oy);
    const std::size_t seen =
        events.of_pixels(rows.first * window.map.width, rows.size() * window.map.width).size();
    grow(elements_, seen * window.kernel);  // each from at most so many places
    std::uint32_t* next = elements_.data();
    for (std::size_t ox = 0; ox < counts_.size(); ++ox) {
      std::uint32_t* const first = next;
      next = add_place(window, events, oy, ox, next);
      starts_[ox] = static_cast<std::size_t>(first - elements_.data());
      counts_[ox] = static_cast<std::uint32_t>(next - first);
    }
    size_ = static_cast<std::size_t>(next - elements_.data());
  }
  EventRows view() const {
    return {elements_.data(), counts_.data(), starts_.data(), 0, counts_.size(), size_};
  }

 private:
  /// A row of the kernel sees a run of the map's elements, in the order that they have in the patch.
  std::uint32_t* add_place(const Window& window, const MapEvents& events, std::size_t oy, std::size_t ox,
                           std::uint32_t* next) const {
    const Stretch rows = window.rows_seen(oy), columns = window.columns_seen(ox);
    for (std::size_t y = rows.first; y < rows.last; ++y) {
      const std::size_t in_map = window.map.pixel(y, columns.first);
      const std::size_t in_patch =
          window.patch_pixel(window.in_kernel(oy, y), window.in_kernel(ox, columns.first));
      next = moved(events.of_pixels(y * window.map.width + columns.first, columns.size()), in_map, in_patch,
                   next);
    }
    return next;
  }

  std::vector<std::uint32_t> elements_, counts_;
  std::vector<std::size_t> starts_;
  std::size_t size_ = 0;  ///< of elements
};

/// The events of some rows by the channel of their elements, and from which places one pixel of the kernel sees them.
class PlacesOfChannels {
 public:
  PlacesOfChannels(const Window& window, std::size_t pooled, std::size_t most_rows)
      : window_(window),
        pixels_of_row_(window.map.height * window.map.width),
        most_(most_rows * pixels_of_row_ * pooled * pooled),
        pixels_(window.map.channels * most_),
        events_(window.map.channels),
        places_(pixels_.size()),
        counts_(window.map.channels) {
    for (std::size_t y = 0; y < window.map.height * pooled; ++y) {
      for (std::size_t x = 0; x < window.map.width * pooled; ++x)
        squares_.push_back(y / pooled * window.map.width + x / pooled);
    }
    for (std::size_t ky = 0; ky < window.kernel; ++ky) {
      for (std::size_t kx = 0; kx < window.kernel; ++kx)
        place_of_pixel_.push_back(find_places(ky, kx, most_rows));
    }
  }

  void list(const ConstSpikes& spikes) {
    std::ranges::fill(events_, 0U);
    for (std::size_t row = 0; row < spikes.rows; ++row) {
      const auto of_row = spikes_of_row(spikes, row);
      auto spike = of_row.begin();
      std::size_t first = 0;  // neuron of a pixel of the spiking map
      for (const std::size_t square : squares_) {
        for (; spike != of_row.end() && *spike < first + events_.size(); ++spike) {
          const std::size_t channel = *spike - first;
          pixels_[channel * most_ + events_[channel]++] =
              static_cast<std::uint32_t>(row * pixels_of_row_ + square);
        }
        first += events_.size();
      }
    }
  }
  /// A row for each channel, of places of all rows; valid until the next call.
  EventRows seen_by(std::size_t ky, std::size_t kx) {
    const std::vector<std::uint32_t>& place_of_pixel = place_of_pixel_[ky * window_.kernel + kx];
    std::size_t all = 0;
    for (std::size_t c = 0; c < events_.size(); ++c) {
      std::uint32_t count = 0;
      for (std::uint32_t event = 0; event < events_[c]; ++event) {
        const std::uint32_t place = place_of_pixel[pixels_[c * most_ + event]];
        places_[c * most_ + count] = place;
        count += place == nowhere ? 0U : 1U;
      }
      counts_[c] = count;
      all += count;
    }
    return {places_.data(), counts_.data(), nullptr, most_, counts_.size(), all};
  }

 private:
  static constexpr std::uint32_t nowhere = ~0U;

  std::vector<std::uint32_t> find_places(std::size_t ky, std::size_t kx, std::size_t rows) const {
    std::vector<std::uint32_t> places(rows * pixels_of_row_, nowhere);
    const MapShape& map = window_.map;
    for (std::size_t place = 0; place < rows * window_.places(); ++place) {
      const std::size_t row = place / window_.places(), in_row = place % window_.places();
      // What lies before the map wraps to numbers that lie behind it.
      const std::size_t y = in_row / window_.out_width() * window_.stride + ky - window_.padding;
      const std::size_t x = in_row % window_.out_width() * window_.stride + kx - window_.padding;
      if (y < map.height && x < map.width)
        places[row * pixels_of_row_ + y * map.width + x] = static_cast<std::uint32_t>(place);
    }
    return places;
  }

  Window window_;
  std::size_t pixels_of_row_;
  std::vector<std::size_t> squares_;   ///< the pixel of the map that one of the spiking map is of
  std::size_t most_;                   ///< events of a channel
  std::vector<std::uint32_t> pixels_;  ///< [channels × most_] of events, counted over all rows
  std::vector<std::uint32_t> events_;  ///< of each channel
  std::vector<std::uint32_t> places_, counts_;
  std::vector<std::vector<std::uint32_t>> place_of_pixel_;  ///< one a pixel of the kernel
};

/// Rows cut into parts, whose sums are added in the end, and these into chunks whose errors and events stay in the cache.
struct CorrelatedRows {
  explicit CorrelatedRows(const CorrelateConvolved& op) {
    constexpr std::size_t cached_values = 1U << 16U, most_parts = 16;
    chunk = std::clamp<std::size_t>(cached_values / std::max(op.b.cols, op.spikes.neurons / 2), 1, op.b.rows);
    const std::size_t chunks = (op.b.rows + chunk - 1) / chunk;
    part = (chunks + most_parts - 1) / most_parts * chunk;
    parts = (op.b.rows + part - 1) / part;
  }

  std::size_t chunk, part;  ///< rows of one
  std::size_t parts;
};

/// sum ← that of rows [first, last).
void correlate(const CorrelateConvolved& op, float value, std::size_t chunk, std::size_t first,
               std::size_t last, const Matrix& sum) {
  const Window& window = op.window;
  PlacesOfChannels events(window, op.pooled, chunk);
  for (std::size_t row = first; row < last; row += chunk) {
    const std::size_t rows = std::min(chunk, last - row);
    const ConstMatrix b = {op.b.row_range(row, rows).values, rows * window.places(), sum.cols};
    events.list(op.spikes.row_range(row, rows));
    for (std::size_t ky = 0; ky < window.kernel; ++ky) {
      for (std::size_t kx = 0; kx < window.kernel; ++kx)
        sum_events(events.seen_by(ky, kx), b, value, row == first ? 0.0F : 1.0F,
                   sum.row_range(window.patch_pixel(ky, kx), window.map.channels));
    }
  }
}

}  // namespace

void execute(CpuBackend& cpu, const Unfold& op) {
  const auto maps = host(op.maps);
  const auto patches = host(op.patches);
  const std::size_t lines = op.window.out_height(), places = op.window.out_width();
  for_each_line(cpu, maps.rows, lines, places * patches.cols, [&](std::size_t row, std::size_t oy) {
    for (std::size_t ox = 0; ox < places; ++ox)
      unfold_place(op.window, maps.row(row), oy, ox, patches.row((row * lines + oy) * places + ox));
  });
}

void execute(CpuBackend& cpu, const Fold& op) {
  const auto patches = host(op.patches);
  const auto maps = host(op.maps);
  const Window& window = op.window;
  const std::size_t length = window.map.pixel(1, 0), places = window.out_width();
  for_each_line(cpu, maps.rows, window.map.height, length, [&](std::size_t row, std::size_t y) {
    const auto line = maps.row(row).subspan(window.map.pixel(y, 0), length);
    scale(op.beta, line);
    const Stretch seeing = window.rows_seeing(y);
    for (std::size_t oy = seeing.first; oy < seeing.last; ++oy) {
      for (std::size_t ox = 0; ox < places; ++ox) {
        const Stretch columns = window.columns_seen(ox);
        if (columns.size() == 0) continue;
        const std::size_t from =
            window.patch_pixel(window.in_kernel(oy, y), window.in_kernel(ox, columns.first));
        add(patches.row((row * window.out_height() + oy) * places + ox)
                .subspan(from, columns.size() * window.map.channels),
            &line[window.map.pixel(0, columns.first)]);
      }
    }
  });
}

void execute(CpuBackend& cpu, const Pool& op) {
  const auto maps = host(op.maps);
  const auto pooled = host(op.pooled);
  const MapShape to = op.map.pooled(op.size);
  const float share = 1.0F / static_cast<float>(op.size * op.size);
  for_each_line(cpu, maps.rows, to.height, op.size * op.map.pixel(1, 0), [&](std::size_t row, std::size_t y) {
    const auto line = pooled.row(row).subspan(to.pixel(y, 0), to.pixel(1, 0));
    scale(0.0F, line);
    for (std::size_t dy = 0; dy < op.size; ++dy) {
      for (std::size_t x = 0; x < to.width * op.size; ++x)
        add(maps.row(row).subspan(op.map.pixel(y * op.size + dy, x), to.channels),
            &line[to.pixel(0, x / op.size)]);
    }
    scale(share, line);
  });
}

void execute(CpuBackend& cpu, const Unpool& op) {
  const auto pooled = host(op.pooled);
  const auto maps = host(op.maps);
  const MapShape from = op.map.pooled(op.size);
  const float share = 1.0F / static_cast<float>(op.size * op.size);
  const std::size_t length = op.map.pixel(1, 0);
  for_each_line(cpu, maps.rows, op.map.height, length, [&](std::size_t row, std::size_t y) {
    const auto line = maps.row(row).subspan(op.map.pixel(y, 0), length);
    scale(op.beta, line);
    if (y >= from.height * op.size) return;
    const auto squares = pooled.row(row).subspan(from.pixel(y / op.size, 0), from.pixel(1, 0));
    for (std::size_t x = 0; x < from.width * op.size; ++x) {
      for (std::size_t c = 0; c < from.channels; ++c)
        line[op.map.pixel(0, x) + c] += share * squares[from.pixel(0, x / op.size) + c];
    }
  });
}

/// An ordinary delivery to each place, from the elements of its patch.
void execute(CpuBackend& cpu, const DeliverConvolved& op) {
  const Window& window = op.window;
  const float value = host(op.height)[0] / (op.dt * static_cast<float>(op.pooled * op.pooled));
  const std::size_t lines = window.out_height(), places = window.out_width();
  const Matrix currents = {op.currents.values, op.currents.rows * window.places(), op.weights.cols};
  const std::size_t rows_per_piece = std::max<std::size_t>(1, elementwise_piece / op.currents.cols);
  for_each_range(cpu.pool(), op.currents.rows, rows_per_piece,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   MapEvents of_map(window.map, op.pooled);
                   PatchEvents of_patches(places);
                   for (std::size_t row = first; row < last; ++row) {
                     of_map.list(spikes_of_row(op.spikes, row));
                     for (std::size_t oy = 0; oy < lines; ++oy) {
                       of_patches.list(window, of_map, oy);
                       sum_events(of_patches.view(), op.weights, value, op.beta,
                                  currents.row_range((row * lines + oy) * places, places));
                     }
                   }
                 });
}

/// Each element of a patch adds the errors of the places that see it spike.
void execute(CpuBackend& cpu, const CorrelateConvolved& op) {
  const auto counts = host(op.spikes.counts);
  const double spikes = std::accumulate(counts.begin(), counts.end(), 0.0);
  if (spikes > correlation_crossover * static_cast<double>(op.spikes.rows * op.window.map.size())) {
    correlate_densely(cpu, op);
    return;
  }
  const float height = op.height.empty() ? 1.0F : host(op.height)[0];
  const float value = height / (op.dt * static_cast<float>(op.pooled * op.pooled));
  const CorrelatedRows rows(op);
  const std::size_t size = op.sum.values.size();
  const View<float> sums = cpu.scratch(rows.parts, size).values;
  for_each_range(cpu.pool(), op.b.rows, rows.part,
                 [&](std::size_t part, std::size_t first, std::size_t last) {
                   correlate(op, value, rows.chunk, first, last,
                             {sums.subview(part * size, size), op.sum.rows, op.sum.cols});
                 });
  const auto sum = host(op.sum.values);
  for_each_range(cpu.pool(), size, elementwise_piece, [&](std::size_t, std::size_t first, std::size_t last) {
    scale(op.beta, sum.subspan(first, last - first));
    for (std::size_t part = 0; part < rows.parts; ++part)
      add(host(sums).subspan(part * size + first, last - first), &sum[first]);
  });
}

template std::shared_ptr<Maps> make_family(CpuBackend&, double&);

}  // namespace orthospike
