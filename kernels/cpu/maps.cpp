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

/// Of a map and of a patch that sees it, neighbours that have the same order in both. All are numbers of groups of pixels, of
/// which pixel i begins with number i · groups.
struct Run {
  std::size_t in_map, in_patch, count;
};

/// Calls work(run) for what is seen from a place of row y of the map.
template <class Work>
void for_each_run(const Window& window, const Place& place, std::size_t y, const Work& work) {
  const Stretch columns = window.columns_seen(place.x);
  const std::size_t line = y * window.map.width;
  const std::size_t kernel_line = window.in_kernel(place.y, y) * window.kernel;
  if (window.groups == 1) {
    if (columns.size() > 0)
      work({line + columns.first, kernel_line + window.in_kernel(place.x, columns.first), columns.size()});
    return;
  }
  for (std::size_t x = columns.first; x < columns.last; ++x)
    work({(line + x) * window.groups + place.group,
          (kernel_line + window.in_kernel(place.x, x)) * window.groups + place.group, 1});
}

void unfold_place(const Window& window, std::span<const float> map, const Place& place,
                  std::span<float> patch) {
  const Stretch rows = window.rows_seen(place.y);
  const std::size_t seen = rows.size() * window.columns_seen(place.x).size();
  if (window.groups > 1 || seen < window.kernel * window.kernel) std::ranges::fill(patch, 0.0F);
  for (std::size_t y = rows.first; y < rows.last; ++y) {
    for_each_run(window, place, y, [&](const Run& run) {
      const std::size_t channels = window.group_channels();
      std::ranges::copy(map.subspan(run.in_map * channels, run.count * channels),
                        patch.subspan(run.in_patch * channels).begin());
    });
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

/// The spikes of one row as events of the elements of a window's map, in the order of its pixels and groups of channels.
class MapEvents {
 public:
  MapEvents(const Window& window, std::size_t pooled)
      : map_(window.map),
        groups_(window.groups),
        pooled_(pooled),
        spiking_{map_.height * pooled, map_.width * pooled, map_.channels} {}

  void list(std::span<const std::uint32_t> spikes) {
    find_groups(spikes);
    grow(elements_, spikes.size());
    starts_.clear();
    std::uint32_t* next = elements_.data();
    for (std::size_t y = 0; y < map_.height; ++y) {
      for (std::size_t x = 0; x < map_.width; ++x) {
        for (std::size_t group = 0; group < groups_; ++group) {
          starts_.push_back(static_cast<std::size_t>(next - elements_.data()));
          next = add_square(spikes, y, x, group, next);
        }
      }
    }
    starts_.push_back(static_cast<std::size_t>(next - elements_.data()));
  }
  /// Of `count` groups of pixels from that one on: those of pixel i begin with number i · groups.
  std::span<const std::uint32_t> of_groups(std::size_t first, std::size_t count) const {
    return std::span(elements_).subspan(starts_[first], starts_[first + count] - starts_[first]);
  }

 private:
  /// By one walk along the spikes, for divisions to find the pixel of each would cost as much as its delivery.
  void find_groups(std::span<const std::uint32_t> spikes) {
    spiking_starts_.clear();
    std::size_t spike = 0;
    for (std::size_t neuron = 0; neuron <= spiking_.size(); neuron += spiking_.channels / groups_) {
      while (spike < spikes.size() && spikes[spike] < neuron) ++spike;
      spiking_starts_.push_back(spike);
    }
  }
  /// From `next` on; where the next ones go.
  std::uint32_t* add_square(std::span<const std::uint32_t> spikes, std::size_t y, std::size_t x,
                            std::size_t group, std::uint32_t* next) const {
    for (std::size_t dy = 0; dy < pooled_; ++dy) {
      for (std::size_t dx = 0; dx < pooled_; ++dx) {
        const std::size_t pixel = (y * pooled_ + dy) * spiking_.width + x * pooled_ + dx;
        const std::size_t first = spiking_starts_[pixel * groups_ + group],
                          last = spiking_starts_[pixel * groups_ + group + 1];
        next = moved(spikes.subspan(first, last - first), pixel * spiking_.channels, map_.pixel(y, x), next);
      }
    }
    return next;
  }

  MapShape map_;
  std::size_t groups_, pooled_;
  MapShape spiking_;
  std::vector<std::size_t> spiking_starts_, starts_;  ///< of groups of pixels, and the end
  std::vector<std::uint32_t> elements_;
};

/// What the kernel sees of events from the places of one row of the output, as events of the elements of patches.
class PatchEvents {
 public:
  explicit PatchEvents(std::size_t places) : counts_(places), starts_(places) {}

  void list(const Window& window, const MapEvents& events, std::size_t oy) {
    const Stretch rows = window.rows_seen(oy);
    const std::size_t line = window.map.width * window.groups;
    const std::size_t seen = events.of_groups(rows.first * line, rows.size() * line).size();
    grow(elements_, seen * window.kernel);  // each from at most so many places
    std::uint32_t* next = elements_.data();
    std::size_t place = 0;
    for (std::size_t ox = 0; ox < window.out_width(); ++ox) {
      for (std::size_t group = 0; group < window.groups; ++group, ++place) {
        std::uint32_t* const first = next;
        next = add_place(window, events, {oy, ox, group}, next);
        starts_[place] = static_cast<std::size_t>(first - elements_.data());
        counts_[place] = static_cast<std::uint32_t>(next - first);
      }
    }
    size_ = static_cast<std::size_t>(next - elements_.data());
  }
  EventRows view() const {
    return {elements_.data(), counts_.data(), starts_.data(), 0, counts_.size(), size_};
  }

 private:
  std::uint32_t* add_place(const Window& window, const MapEvents& events, const Place& place,
                           std::uint32_t* next) const {
    const Stretch rows = window.rows_seen(place.y);
    for (std::size_t y = rows.first; y < rows.last; ++y) {
      for_each_run(window, place, y, [&](const Run& run) {
        next = moved(events.of_groups(run.in_map, run.count), run.in_map * window.group_channels(),
                     run.in_patch * window.group_channels(), next);
      });
    }
    return next;
  }

  std::vector<std::uint32_t> elements_, counts_;
  std::vector<std::size_t> starts_;
  std::size_t size_ = 0;  ///< of elements
};

/// The rows, of some, in which each element of a window's map spikes; one for each spike of its square where they are pooled.
class RowsOfElements {
 public:
  RowsOfElements(const MapShape& map, std::size_t pooled)
      : channels_(map.channels), counts_(map.size()), starts_(map.size()) {
    for (std::size_t y = 0; y < map.height * pooled; ++y) {
      for (std::size_t x = 0; x < map.width * pooled; ++x)
        squares_.push_back(map.pixel(y / pooled, x / pooled));
    }
  }

  void list(const ConstSpikes& spikes) {
    std::ranges::fill(counts_, 0U);
    for_each_event(spikes, [&](std::size_t /*row*/, std::size_t element) { ++counts_[element]; });
    std::exclusive_scan(counts_.begin(), counts_.end(), starts_.begin(), std::size_t{0});
    grow(rows_, starts_.back() + counts_.back());
    std::ranges::fill(counts_, 0U);
    for_each_event(spikes, [&](std::size_t row, std::size_t element) {
      rows_[starts_[element] + counts_[element]++] = static_cast<std::uint32_t>(row);
    });
  }
  /// Of `count` elements from that one on; valid until the next call of `list`.
  EventRows of(std::size_t first, std::size_t count) const {
    const std::size_t last = first + count - 1;
    return {rows_.data(),    &counts_[first],
            &starts_[first], 0,
            count,           starts_[last] + counts_[last] - starts_[first]};
  }

 private:
  /// Calls work(row, element) by one walk along the spikes of each row, for divisions to find the pixel of each would cost
  /// as much as all else.
  template <class Work>
  void for_each_event(const ConstSpikes& spikes, const Work& work) const {
    for (std::size_t row = 0; row < spikes.rows; ++row) {
      const auto of_row = spikes_of_row(spikes, row);
      auto spike = of_row.begin();
      std::size_t neuron = 0;
      for (const std::size_t square : squares_) {
        for (; spike != of_row.end() && *spike < neuron + channels_; ++spike)
          work(row, square + *spike - neuron);
        neuron += channels_;
      }
    }
  }

  std::size_t channels_;
  std::vector<std::size_t> squares_;  ///< of each pixel of the spiking map, the first element of its square
  std::vector<std::uint32_t> counts_, rows_;
  std::vector<std::size_t> starts_;
};

/// How a gradient is summed: by rows cut into parts, whose sums are added in the end, and these into groups, and by blocks of
/// channels. At each place the errors of a group's rows, which all that spiked around it adds to its sums, stay in the
/// first-level cache, over all places the sums of a block in the second-level one.
struct CorrelationPlan {
  static constexpr std::size_t widest_block = 64;

  CorrelationPlan(const CorrelateConvolved& op, double spikes) {
    // Spikes of an element in a group, so that what it adds is worth finding its sums.
    constexpr double wanted = 8, least = 0.01;
    constexpr std::size_t fewest = 16, most = 128, most_parts = 16;
    const double of_element = spikes / static_cast<double>(op.spikes.rows * op.window.map.size());
    group = std::clamp(static_cast<std::size_t>(wanted / std::max(of_element, least)), fewest, most);
    const std::size_t groups = (op.b.rows + group - 1) / group;
    part = (groups + most_parts - 1) / most_parts * group;
    parts = (op.b.rows + part - 1) / part;
  }

  std::size_t group, part;  ///< rows of one
  std::size_t parts;
};

/// Spikes for each element of the window's maps above which a dense product is faster, on a core that multiplies at 96 GFLOP/s;
/// on one that multiplies at 60, 0.6.
constexpr double gradient_crossover = 0.4;

/// Calls work(first, width) for each block of channels.
template <class Work>
void for_each_block(std::size_t channels, const Work& work) {
  for (std::size_t first = 0; first < channels; first += CorrelationPlan::widest_block)
    work(first, std::min(CorrelationPlan::widest_block, channels - first));
}

/// sums ← those of rows [first, last), block by block; errors has room for those of a group and block at a place.
void correlate(const CorrelateConvolved& op, float value, std::size_t group, std::size_t first,
               std::size_t last, View<float> sums, View<float> errors) {
  const Window& window = op.window;
  const std::size_t channels = op.sum.cols, patch = window.patch();
  RowsOfElements events(window.map, op.pooled);
  scale(0.0F, host(sums));
  for (std::size_t row = first; row < last; row += group) {
    const std::size_t rows = std::min(group, last - row);
    events.list(op.spikes.row_range(row, rows));
    for_each_block(channels, [&](std::size_t channel, std::size_t width) {
      const Matrix of_block = {sums.subview(channel * patch, patch * width), patch, width};
      const Matrix at_place = {errors.subview(0, rows * width), rows, width};
      const auto b = host(op.b);
      for (std::size_t place = 0; place < window.places(); ++place) {
        const Place from = window.place(place);
        const Stretch lines = window.rows_seen(from.y);
        if (lines.size() * window.columns_seen(from.x).size() == 0) continue;
        for (std::size_t r = 0; r < rows; ++r)
          std::ranges::copy(b.row(row + r).subspan(place * channels + channel, width),
                            host(at_place).row(r).begin());
        for (std::size_t y = lines.first; y < lines.last; ++y) {
          for_each_run(window, from, y, [&](const Run& run) {
            const std::size_t in_map = run.in_map * window.group_channels();
            const std::size_t in_patch = run.in_patch * window.group_channels();
            const std::size_t elements = run.count * window.group_channels();
            sum_events(events.of(in_map, elements), at_place, value, 1.0F,
                       of_block.row_range(in_patch, elements));
          });
        }
      }
    });
  }
}

void fill_rows(View<const float> values, const Matrix& matrix) {
  for (std::size_t row = 0; row < matrix.rows; ++row)
    std::ranges::copy(host(values), host(matrix).row(row).begin());
}

}  // namespace

void execute(CpuBackend& cpu, const Unfold& op) {
  const auto maps = host(op.maps);
  const auto patches = host(op.patches);
  const std::size_t lines = op.window.out_height(), places = op.window.out_width() * op.window.groups;
  for_each_line(cpu, maps.rows, lines, places * patches.cols, [&](std::size_t row, std::size_t oy) {
    for (std::size_t place = oy * places; place < (oy + 1) * places; ++place)
      unfold_place(op.window, maps.row(row), op.window.place(place),
                   patches.row(row * lines * places + place));
  });
}

void execute(CpuBackend& cpu, const Fold& op) {
  const auto patches = host(op.patches);
  const auto maps = host(op.maps);
  const Window& window = op.window;
  const std::size_t length = window.map.pixel(1, 0), channels = window.group_channels();
  const std::size_t places = window.out_width() * window.groups;
  for_each_line(cpu, maps.rows, window.map.height, length, [&](std::size_t row, std::size_t y) {
    const auto map = maps.row(row);
    scale(op.beta, map.subspan(window.map.pixel(y, 0), length));
    const Stretch seeing = window.rows_seeing(y);
    for (std::size_t place = seeing.first * places; place < seeing.last * places; ++place) {
      const auto patch = patches.row(row * window.places() + place);
      for_each_run(window, window.place(place), y, [&](const Run& run) {
        add(patch.subspan(run.in_patch * channels, run.count * channels), &map[run.in_map * channels]);
      });
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

/// An ordinary delivery to each place, from the elements of its patch. Offsets are there before, while the line of places
/// stays in the first-level cache.
void execute(CpuBackend& cpu, const DeliverConvolved& op) {
  const Window& window = op.window;
  const float value = host(op.height)[0] / (op.dt * static_cast<float>(op.pooled * op.pooled));
  const std::size_t lines = window.out_height(), places = window.out_width() * window.groups;
  const Matrix currents = {op.currents.values, op.currents.rows * window.places(), op.weights.cols};
  const bool has_offset = !op.offset.empty();
  const std::size_t rows_per_piece = std::max<std::size_t>(1, elementwise_piece / op.currents.cols);
  for_each_range(cpu.pool(), op.currents.rows, rows_per_piece,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   MapEvents of_map(window, op.pooled);
                   PatchEvents of_patches(places);
                   for (std::size_t row = first; row < last; ++row) {
                     of_map.list(spikes_of_row(op.spikes, row));
                     for (std::size_t oy = 0; oy < lines; ++oy) {
                       of_patches.list(window, of_map, oy);
                       const Matrix line = currents.row_range((row * lines + oy) * places, places);
                       if (has_offset) fill_rows(op.offset, line);
                       sum_events(of_patches.view(), op.weights, value, has_offset ? 1.0F : 0.0F, line);
                     }
                   }
                 });
}

/// At each place, each element of the patch adds the errors of the rows in which it spikes.
void execute(CpuBackend& cpu, const CorrelateConvolved& op) {
  const auto counts = host(op.spikes.counts);
  const double spikes = std::accumulate(counts.begin(), counts.end(), 0.0);
  // Dense products have the zeros of other groups, too.
  const std::size_t elements = op.spikes.rows * op.window.map.size() * op.window.groups;
  if (spikes > gradient_crossover * static_cast<double>(elements)) {
    correlate_densely(cpu, op);
    return;
  }
  const float height = op.height.empty() ? 1.0F : host(op.height)[0];
  const float value = height / (op.dt * static_cast<float>(op.pooled * op.pooled));
  const CorrelationPlan plan(op, spikes);
  const std::size_t size = op.sum.values.size(), room = plan.group * CorrelationPlan::widest_block;
  const View<float> scratch = cpu.scratch(plan.parts, size + room).values;
  const auto sums_of = [&](std::size_t part) { return scratch.subview(part * (size + room), size); };
  for_each_range(cpu.pool(), op.b.rows, plan.part,
                 [&](std::size_t part, std::size_t first, std::size_t last) {
                   correlate(op, value, plan.group, first, last, sums_of(part),
                             scratch.subview(part * (size + room) + size, room));
                 });
  const auto sum = host(op.sum);
  const std::size_t lines = std::max<std::size_t>(1, elementwise_piece / op.sum.cols);
  for_each_range(cpu.pool(), op.sum.rows, lines, [&](std::size_t, std::size_t first, std::size_t last) {
    for (std::size_t line = first; line < last; ++line) {
      scale(op.beta, sum.row(line));
      for_each_block(op.sum.cols, [&](std::size_t channel, std::size_t width) {
        for (std::size_t part = 0; part < plan.parts; ++part)
          add(host(sums_of(part)).subspan(channel * op.sum.rows + line * width, width),
              &sum.row(line)[channel]);
      });
    }
  });
}

template std::shared_ptr<Maps> make_family(CpuBackend&, double&);

}  // namespace orthospike
