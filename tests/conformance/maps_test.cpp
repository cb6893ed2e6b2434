#include <limits>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"
#include "kernels/maps.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

constexpr float height = 0.3F;
constexpr float dt = 0.05F;

/// Among them kernels larger than a side, places that see nothing but zeros, and elements that no place sees.
const std::vector<Window> windows = {
    {.map = {1, 1, 1}},
    {.map = {4, 7, 3}, .kernel = 1, .stride = 2},
    {.map = {3, 2, 3}, .kernel = 1, .stride = 1, .padding = 2},
    {.map = {6, 5, 3}, .kernel = 3, .stride = 1, .padding = 1},
    {.map = {5, 8, 19}, .kernel = 3, .stride = 2, .padding = 1},
    {.map = {7, 4, 1}, .kernel = 3, .stride = 2},
    {.map = {2, 9, 3}, .kernel = 5, .stride = 1, .padding = 2},
    {.map = {9, 6, 1}, .kernel = 5, .stride = 2, .padding = 2},
    {.map = {1, 3, 19}, .kernel = 3, .stride = 2, .padding = 2},
    {.map = {8, 7, 1}, .kernel = 2, .stride = 3},
    {.map = {6, 5, 6}, .kernel = 3, .stride = 1, .padding = 1, .groups = 2},
    {.map = {5, 7, 3}, .kernel = 3, .stride = 2, .padding = 2, .groups = 3},
    {.map = {4, 3, 20}, .kernel = 2, .stride = 1, .padding = 1, .groups = 4},
};

std::string words(const Window& w) {
  return "kernel " + std::to_string(w.kernel) + ", stride " + std::to_string(w.stride) + ", padding " +
         std::to_string(w.padding) + ", map " + std::to_string(w.map.height) + "×" +
         std::to_string(w.map.width) + "×" + std::to_string(w.map.channels) + ", groups " +
         std::to_string(w.groups);
}

struct Pooling {
  MapShape map;
  std::size_t size;
};

/// Some with rows and columns that are left out, up to all of them.
const std::vector<Pooling> poolings = {{{1, 1, 1}, 1}, {{4, 6, 3}, 2},  {{5, 7, 19}, 2}, {{6, 9, 1}, 3},
                                       {{7, 3, 3}, 3}, {{5, 5, 19}, 1}, {{2, 7, 3}, 3}};

std::string words(const Pooling& p) {
  return "squares of " + std::to_string(p.size) + ", map " + std::to_string(p.map.height) + "×" +
         std::to_string(p.map.width) + "×" + std::to_string(p.map.channels);
}

/// What an output holds before: with beta 0 nothing that may matter.
std::vector<float> before(std::size_t size, float beta) {
  return beta == 0.0F ? std::vector<float>(size, not_a_number) : random_values(size, 9);
}

std::vector<float> unfolded(Backend& backend, const Window& window, std::size_t rows,
                            const std::vector<float>& maps) {
  const std::size_t patch_rows = rows * window.places();
  const auto from = uploaded(backend, maps);
  auto to = uploaded(backend, before(patch_rows * window.patch(), 0.0F));
  backend.maps().run(Unfold{.maps = from.matrix(rows, window.map.size()),
                            .window = window,
                            .patches = to.matrix(patch_rows, window.patch())});
  return downloaded(backend, to);
}

std::vector<float> folded(Backend& backend, const Window& window, std::size_t rows,
                          const std::vector<float>& patches, float beta) {
  const auto from = uploaded(backend, patches);
  auto to = uploaded(backend, before(rows * window.map.size(), beta));
  backend.maps().run(Fold{.patches = from.matrix(rows * window.places(), window.patch()),
                          .window = window,
                          .beta = beta,
                          .maps = to.matrix(rows, window.map.size())});
  return downloaded(backend, to);
}

std::vector<float> pooled(Backend& backend, const Pooling& p, std::size_t rows,
                          const std::vector<float>& maps) {
  const std::size_t size = p.map.pooled(p.size).size();
  const auto from = uploaded(backend, maps);
  auto to = uploaded(backend, before(rows * size, 0.0F));
  backend.maps().run(Pool{.maps = from.matrix(rows, p.map.size()),
                          .map = p.map,
                          .size = p.size,
                          .pooled = to.matrix(rows, size)});
  return downloaded(backend, to);
}

std::vector<float> unpooled(Backend& backend, const Pooling& p, std::size_t rows,
                            const std::vector<float>& values, float beta) {
  const auto from = uploaded(backend, values);
  auto to = uploaded(backend, before(rows * p.map.size(), beta));
  backend.maps().run(Unpool{.pooled = from.matrix(rows, p.map.pooled(p.size).size()),
                            .map = p.map,
                            .size = p.size,
                            .beta = beta,
                            .maps = to.matrix(rows, p.map.size())});
  return downloaded(backend, to);
}

double inner_product(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// A convolution as textbooks define it, with the weights of each output channel at (ky, kx, c); of groups, each of which
/// has so many outputs of its own channels.
std::vector<double> convolved(const Window& w, const std::vector<float>& map,
                              const std::vector<float>& weights, std::size_t outputs) {
  const auto signed_of = [](std::size_t value) { return static_cast<int>(value); };
  const int side = signed_of(w.kernel), channels = signed_of(w.map.channels), width = signed_of(w.map.width);
  const int of_group = channels / signed_of(w.groups);
  std::vector<double> result;
  for (int top = -signed_of(w.padding); top + side <= signed_of(w.map.height + w.padding);
       top += signed_of(w.stride)) {
    for (int left = -signed_of(w.padding); left + side <= signed_of(w.map.width + w.padding);
         left += signed_of(w.stride)) {
      for (std::size_t output = 0; output < w.groups * outputs; ++output) {
        const std::size_t m = output % outputs;
        const int group = signed_of(output / outputs);
        double sum = 0;
        for (int y = top; y < top + side; ++y) {
          for (int x = left; x < left + side; ++x) {
            if (y < 0 || x < 0 || y >= signed_of(w.map.height) || x >= width) continue;
            for (int c = group * of_group; c < (group + 1) * of_group; ++c) {
              const int row = ((y - top) * side + x - left) * channels + c;
              sum += static_cast<double>(map.at(static_cast<std::size_t>((y * width + x) * channels + c))) *
                     weights.at(static_cast<std::size_t>(row) * outputs + m);
            }
          }
        }
        result.push_back(sum);
      }
    }
  }
  return result;
}

/// A convolution whose input are spikes.
struct SpikingConvolution {
  Window window;
  std::size_t pooled;
  std::size_t outputs;  ///< channels of them
  std::size_t rows;

  MapShape spiking() const {
    return {window.map.height * pooled, window.map.width * pooled, window.map.channels};
  }
  std::size_t cols() const { return window.places() * outputs; }
  std::vector<float> weights() const {
    // More positive than negative: sums that cancel would have no digits to compare.
    return random_values(window.patch() * outputs, 2, -0.5F, 1.0F);
  }
};

std::vector<float> delivered(Backend& backend, const SpikingConvolution& s, const EventLists& events,
                             const std::vector<float>& weights, const std::vector<float>& offset) {
  SpikeArrays spikes = uploaded_spikes(backend, events, s.spiking().size());
  const auto threshold = uploaded(backend, std::vector<float>{height});
  const auto outgoing = uploaded(backend, weights), added = uploaded(backend, offset);
  auto currents = uploaded(backend, before(s.rows * s.cols(), 0.0F));
  backend.maps().run(DeliverConvolved{.spikes = spikes.view(),
                                      .height = threshold.view(),
                                      .dt = dt,
                                      .pooled = s.pooled,
                                      .window = s.window,
                                      .weights = outgoing.matrix(s.window.patch(), s.outputs),
                                      .offset = added.view(),
                                      .currents = currents.matrix(s.rows, s.cols())});
  return downloaded(backend, currents);
}

/// The pooled spikes, each 1, as patches [rows · places × patch].
std::vector<float> patches_of(Backend& backend, const SpikingConvolution& s, const EventLists& events) {
  const std::size_t size = s.spiking().size();
  SpikeArrays spikes = uploaded_spikes(backend, events, size);
  auto active = backend.allocate<float>(s.rows * size);
  backend.delivery().run(ExpandSpikes{.spikes = spikes.view(), .x = active.matrix(s.rows, size)});
  return unfolded(
      backend, s.window, s.rows,
      pooled(backend, {.map = s.spiking(), .size = s.pooled}, s.rows, downloaded(backend, active)));
}

/// The same through dense maps.
std::vector<float> delivered_densely(Backend& backend, const SpikingConvolution& s, const EventLists& events,
                                     const std::vector<float>& weights, const std::vector<float>& offset) {
  const std::size_t patch_rows = s.rows * s.window.places();
  const auto patches = uploaded(backend, patches_of(backend, s, events));
  const auto outgoing = uploaded(backend, weights);
  std::vector<float> offsets(s.rows * s.cols(), 0.0F);
  for (std::size_t i = 0; i < offsets.size() && !offset.empty(); ++i) offsets[i] = offset[i % s.outputs];
  auto currents = uploaded(backend, offsets);
  backend.dense().run(Multiply{.alpha = height / dt,
                               .a = patches.matrix(patch_rows, s.window.patch()),
                               .b = outgoing.matrix(s.window.patch(), s.outputs),
                               .beta = 1,
                               .c = currents.matrix(patch_rows, s.outputs)});
  return downloaded(backend, currents);
}

std::vector<float> correlated(Backend& backend, const SpikingConvolution& s, const EventLists& events,
                              const std::vector<float>& errors, float beta, bool has_height) {
  SpikeArrays spikes = uploaded_spikes(backend, events, s.spiking().size());
  const auto threshold = uploaded(backend, std::vector<float>{height});
  const auto b = uploaded(backend, errors);
  auto sum = uploaded(backend, before(s.window.patch() * s.outputs, beta));
  CorrelateConvolved operation{.spikes = spikes.view(),
                               .pooled = s.pooled,
                               .window = s.window,
                               .b = b.matrix(s.rows, s.cols()),
                               .beta = beta,
                               .sum = sum.matrix(s.window.patch(), s.outputs)};
  if (has_height) {
    operation.height = threshold.view();
    operation.dt = dt;
  }
  backend.maps().run(operation);
  return downloaded(backend, sum);
}

/// The same through dense maps.
std::vector<float> correlated_densely(Backend& backend, const SpikingConvolution& s, const EventLists& events,
                                      const std::vector<float>& errors, float beta, bool has_height) {
  const std::size_t patch_rows = s.rows * s.window.places();
  const auto patches = uploaded(backend, patches_of(backend, s, events));
  const auto b = uploaded(backend, errors);
  auto sum = uploaded(backend, before(s.window.patch() * s.outputs, beta));
  backend.dense().run(Multiply{.alpha = has_height ? height / dt : 1.0F,
                               .a = patches.matrix(patch_rows, s.window.patch()),
                               .transpose_a = true,
                               .b = b.matrix(patch_rows, s.outputs),
                               .beta = beta,
                               .c = sum.matrix(s.window.patch(), s.outputs)});
  return downloaded(backend, sum);
}

void check_correlation(const SpikingConvolution& s, double density) {
  EventLists events = random_events(s.rows, s.spiking().size(), density, 1);
  if (s.rows > 2) events[1].clear();
  // More positive than negative: sums that cancel would have no digits to compare.
  const auto errors = random_values(s.rows * s.cols(), 2, -0.5F, 1.0F);
  for (const float beta : {0.0F, 0.5F, 1.0F}) {
    for (const bool has_height : {true, false}) {
      INFO(words(s.window) << ", pooled " << s.pooled << ", " << s.outputs << " output channels, " << s.rows
                           << " rows, density " << density << ", beta " << beta);
      check_conformance([&](Backend& backend) {
        const auto sum = correlated(backend, s, events, errors, beta, has_height);
        CHECK(correlated(backend, s, events, errors, beta, has_height) ==
              sum);  // in memory that holds numbers
        const auto dense = correlated_densely(backend, s, events, errors, beta, has_height);
        CHECK(difference(about(dense, 0).values, about(sum, 0).values) <= 4e-6);
        return Outcome{{"sum", about(sum, 4e-6)}};
      });
    }
  }
}

void check_delivery(const SpikingConvolution& s, double density) {
  EventLists events = random_events(s.rows, s.spiking().size(), density, 1);
  if (s.rows > 2) events[1].clear();
  const std::vector<float> weights = s.weights();
  for (const std::vector<float>& offset : {std::vector<float>(), random_values(s.outputs, 3, 0.5F)}) {
    INFO(words(s.window) << ", pooled " << s.pooled << ", " << s.outputs << " output channels, density "
                         << density << ", " << offset.size() << " offsets");
    check_conformance([&](Backend& backend) {
      const auto currents = delivered(backend, s, events, weights, offset);
      const auto dense = delivered_densely(backend, s, events, weights, offset);
      CHECK(difference(about(dense, 0).values, about(currents, 0).values) <= 2e-6);
      return Outcome{{"currents", about(currents, 2e-6)}};
    });
  }
}

}  // namespace

TEST_CASE("unfold agrees with the reference", "[conformance][maps]") {
  for (const Window& window : windows) {
    for (const std::size_t rows : {0U, 1U, 5U}) {
      INFO(words(window) << ", " << rows << " rows");
      check_conformance([&](Backend& backend) {
        return Outcome{{"patches", exactly(unfolded(backend, window, rows,
                                                    random_values(rows * window.map.size(), 1)))}};
      });
    }
  }
}

TEST_CASE("fold agrees with the reference", "[conformance][maps]") {
  for (const Window& window : windows) {
    for (const std::size_t rows : {0U, 1U, 5U}) {
      for (const float beta : {0.0F, 0.5F, 1.0F}) {
        INFO(words(window) << ", " << rows << " rows, beta " << beta);
        const auto patches = random_values(rows * window.places() * window.patch(), 1);
        check_conformance([&](Backend& backend) {
          return Outcome{{"maps", about(folded(backend, window, rows, patches, beta), 1e-6)}};
        });
      }
    }
  }
}

TEST_CASE("pool and unpool agree with the reference", "[conformance][maps]") {
  for (const Pooling& p : poolings) {
    for (const std::size_t rows : {0U, 1U, 5U}) {
      INFO(words(p) << ", " << rows << " rows");
      check_conformance([&](Backend& backend) {
        const auto maps = random_values(rows * p.map.size(), 1);
        const auto values = random_values(rows * p.map.pooled(p.size).size(), 2);
        return Outcome{{"pooled", about(pooled(backend, p, rows, maps), 1e-6)},
                       {"unpooled", about(unpooled(backend, p, rows, values, 0.0F), 1e-6)},
                       {"added", about(unpooled(backend, p, rows, values, 1.0F), 1e-6)},
                       {"added to half", about(unpooled(backend, p, rows, values, 0.5F), 1e-6)}};
      });
    }
  }
}

TEST_CASE("maps of many lines are cut into pieces", "[conformance][maps]") {
  const Window window = {.map = {17, 13, 19}, .kernel = 3, .stride = 1, .padding = 1};
  const Pooling pooling = {.map = window.map, .size = 2};
  constexpr std::size_t rows = 11;
  const auto maps = random_values(rows * window.map.size(), 1);
  const auto patches = random_values(rows * window.places() * window.patch(), 2);
  const auto values = random_values(rows * pooling.map.pooled(2).size(), 3);
  check_conformance([&](Backend& backend) {
    return Outcome{{"patches", exactly(unfolded(backend, window, rows, maps))},
                   {"maps", about(folded(backend, window, rows, patches, 0.0F), 1e-6)},
                   {"pooled", about(pooled(backend, pooling, rows, maps), 1e-6)},
                   {"unpooled", about(unpooled(backend, pooling, rows, values, 1.0F), 1e-6)}};
  });
}

TEST_CASE("unfold writes patches channel last, with zeros beyond the edges", "[conformance][maps]") {
  const Window window = {.map = {2, 2, 2}, .kernel = 2, .stride = 2, .padding = 1};
  on_each_backend([&](Backend& backend) {
    CHECK(unfolded(backend, window, 1, {1, 2, 3, 4, 5, 6, 7, 8}) ==
          std::vector<float>{0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 3, 4, 0, 0,
                             0, 0, 5, 6, 0, 0, 0, 0, 7, 8, 0, 0, 0, 0, 0, 0});
  });
}

TEST_CASE("pool leaves out rows and columns beyond the last whole square", "[conformance][maps]") {
  const Pooling pooling = {.map = {3, 5, 1}, .size = 2};
  on_each_backend([&](Backend& backend) {
    std::vector<float> maps(15);
    std::iota(maps.begin(), maps.end(), 0.0F);
    CHECK(pooled(backend, pooling, 1, maps) == std::vector<float>{3, 5});
    CHECK(unpooled(backend, pooling, 1, {4, 8}, 0.0F) ==
          std::vector<float>{1, 1, 2, 2, 0, 1, 1, 2, 2, 0, 0, 0, 0, 0, 0});
  });
}

TEST_CASE("a product with unfolded maps is a convolution", "[conformance][maps]") {
  constexpr std::size_t outputs = 3;
  for (const Window& window : windows) {
    INFO(words(window));
    const auto map = random_values(window.map.size(), 1);
    const auto weights = random_values(window.patch() * outputs, 2);
    const auto expected = convolved(window, map, weights, outputs);
    on_each_backend([&](Backend& backend) {
      const auto patches = uploaded(backend, unfolded(backend, window, 1, map));
      const auto b = uploaded(backend, weights);
      auto c = uploaded(backend, before(window.places() * outputs, 0.0F));
      backend.dense().run(Multiply{.a = patches.matrix(window.places(), window.patch()),
                                   .b = b.matrix(window.patch(), outputs),
                                   .c = c.matrix(window.places(), outputs)});
      CHECK(difference(expected, about(downloaded(backend, c), 0).values) <= 2e-6);
    });
  }
}

TEST_CASE("fold and unpool are the adjoints of unfold and pool", "[conformance][maps]") {
  constexpr std::size_t rows = 3;
  on_each_backend([&](Backend& backend) {
    for (const Window& window : windows) {
      INFO(words(window));
      const auto x = random_values(rows * window.map.size(), 1, 0.0F);
      const auto p = random_values(rows * window.places() * window.patch(), 2, 0.0F);
      CHECK(inner_product(unfolded(backend, window, rows, x), p) ==
            Approx(inner_product(x, folded(backend, window, rows, p, 0.0F))));
    }
    for (const Pooling& pooling : poolings) {
      INFO(words(pooling));
      const auto x = random_values(rows * pooling.map.size(), 1, 0.0F);
      const auto y = random_values(rows * pooling.map.pooled(pooling.size).size(), 2, 0.0F);
      CHECK(inner_product(pooled(backend, pooling, rows, x), y) ==
            Approx(inner_product(x, unpooled(backend, pooling, rows, y, 0.0F))));
    }
  });
}

TEST_CASE("deliver_convolved is the product with the unfolded pooled spikes", "[conformance][maps]") {
  for (const Window& window : windows) {
    for (const std::size_t squares : {1U, 2U}) {
      for (const double density : {0.0, 0.05, 0.5, 1.0})
        check_delivery({.window = window, .pooled = squares, .outputs = 7, .rows = 4}, density);
    }
  }
}

TEST_CASE("deliver_convolved agrees with the reference for all numbers of channels", "[conformance][maps]") {
  const Window window = {.map = {5, 4, 19}, .kernel = 3, .stride = 1, .padding = 1};
  // Around every width of vector.
  for (const std::size_t outputs : {1U, 7U, 64U, 67U, 131U}) {
    for (const std::size_t squares : {1U, 2U, 3U})
      check_delivery({.window = window, .pooled = squares, .outputs = outputs, .rows = 3}, 0.2);
  }
}

TEST_CASE("deliver_convolved agrees with the reference for one row, many and none", "[conformance][maps]") {
  const Window window = {.map = {9, 8, 3}, .kernel = 5, .stride = 2, .padding = 2};
  for (const std::size_t rows : {0U, 1U, 67U})
    check_delivery({.window = window, .pooled = 2, .outputs = 16, .rows = rows}, 0.1);
}

TEST_CASE("correlate_convolved is the product of the unfolded pooled spikes with errors",
          "[conformance][maps]") {
  for (const Window& window : windows) {
    for (const std::size_t squares : {1U, 2U}) {
      for (const double density : {0.0, 0.05, 0.5})
        check_correlation({.window = window, .pooled = squares, .outputs = 7, .rows = 4}, density);
    }
  }
}

TEST_CASE("correlate_convolved agrees with the reference for all numbers of channels and rows",
          "[conformance][maps]") {
  const Window window = {.map = {5, 4, 19}, .kernel = 3, .stride = 1, .padding = 1};
  for (const std::size_t outputs : {1U, 64U, 131U})
    check_correlation({.window = window, .pooled = 2, .outputs = outputs, .rows = 67}, 0.05);
  // One row, and so many that they are cut into parts, and these into more, of no equal length.
  for (const std::size_t rows : {1U, 67U, 1431U})
    check_correlation({.window = window, .pooled = 2, .outputs = 40, .rows = rows}, 0.05);
  check_correlation({.window = window, .pooled = 2, .outputs = 7, .rows = 431}, 0.5);
}

TEST_CASE("deliver_convolved reads no weights of silent neurons", "[conformance][maps]") {
  // Neuron 1 is silent, and what would reach its channel infinite.
  const SpikingConvolution s = {.window = {.map = {1, 2, 2}}, .pooled = 1, .outputs = 1, .rows = 1};
  on_each_backend([&](Backend& backend) {
    const auto currents = delivered(backend, s, {{0, 2}}, {1, std::numeric_limits<float>::infinity()}, {});
    CHECK(currents == std::vector<float>(2, height / dt));
  });
}

namespace {

/// Views into one array: checks must refuse shapes before an element is touched.
struct Shapes {
  std::unique_ptr<Backend> backend = make_backend("reference", 1);
  Array<float> memory = backend->allocate<float>(1000);
  Array<std::uint32_t> numbers = backend->allocate<std::uint32_t>(1000);

  Matrix matrix(std::size_t rows, std::size_t cols) { return memory.matrix(rows, cols); }
  Spikes spikes(std::size_t rows, std::size_t neurons) {
    const View<std::uint32_t> all = numbers.view();
    return {all.subview(0, rows), all.subview(0, rows * neurons), rows, neurons};
  }
};

}  // namespace

TEST_CASE("windows, maps and patches that do not fit are refused", "[conformance][maps]") {
  Shapes s;
  const auto unfold = [&](const Window& window, Matrix maps, Matrix patches) {
    s.backend->maps().run(Unfold{.maps = maps, .window = window, .patches = patches});
  };
  const auto fold = [&](const Window& window, Matrix maps, Matrix patches) {
    s.backend->maps().run(Fold{.patches = patches, .window = window, .maps = maps});
  };
  const Window window = {.map = {3, 4, 2}, .kernel = 3};  // two places, patches of 18 elements
  CHECK_NOTHROW(unfold(window, s.matrix(5, 24), s.matrix(10, 18)));
  CHECK_NOTHROW(fold(window, s.matrix(5, 24), s.matrix(10, 18)));
  const auto refused = [&](const Window& w, Matrix maps, Matrix patches) {
    CHECK_THROWS_AS(unfold(w, maps, patches), std::invalid_argument);
    CHECK_THROWS_AS(fold(w, maps, patches), std::invalid_argument);
  };
  refused(window, s.matrix(5, 23), s.matrix(10, 18));
  refused(window, s.matrix(4, 24), s.matrix(10, 18));
  refused(window, s.matrix(5, 24), s.matrix(9, 18));
  refused(window, s.matrix(5, 24), s.matrix(10, 17));
  refused({.map = window.map, .kernel = 4}, s.matrix(0, 24), s.matrix(0, 32));
  refused({.map = {4, 3, 2}, .kernel = 4}, s.matrix(0, 24), s.matrix(0, 32));
  refused({.map = window.map, .kernel = 0}, s.matrix(0, 24), s.matrix(0, 0));
  refused({.map = window.map, .stride = 0}, s.matrix(0, 24), s.matrix(0, 2));
  refused({.map = {0, 4, 2}, .padding = 1}, s.matrix(0, 0), s.matrix(0, 2));
  refused({.map = {4, 0, 2}, .padding = 1}, s.matrix(0, 0), s.matrix(0, 2));
  refused({.map = {3, 4, 0}}, s.matrix(5, 0), s.matrix(60, 0));
}

TEST_CASE("pooled maps that do not fit are refused", "[conformance][maps]") {
  Shapes s;
  const MapShape map = {4, 5, 3};
  const auto pool = [&](std::size_t size, Matrix maps, Matrix pooled) {
    s.backend->maps().run(Pool{.maps = maps, .map = map, .size = size, .pooled = pooled});
  };
  const auto unpool = [&](std::size_t size, Matrix maps, Matrix pooled) {
    s.backend->maps().run(Unpool{.pooled = pooled, .map = map, .size = size, .maps = maps});
  };
  CHECK_NOTHROW(pool(2, s.matrix(5, 60), s.matrix(5, 12)));
  CHECK_NOTHROW(unpool(2, s.matrix(5, 60), s.matrix(5, 12)));
  const auto refused = [&](std::size_t size, Matrix maps, Matrix pooled) {
    CHECK_THROWS_AS(pool(size, maps, pooled), std::invalid_argument);
    CHECK_THROWS_AS(unpool(size, maps, pooled), std::invalid_argument);
  };
  refused(2, s.matrix(5, 59), s.matrix(5, 12));
  refused(2, s.matrix(4, 60), s.matrix(5, 12));
  refused(2, s.matrix(5, 60), s.matrix(5, 18));
  refused(0, s.matrix(5, 60), s.matrix(5, 12));
}

TEST_CASE("spikes and weights that do not fit a window are refused", "[conformance][maps]") {
  Shapes s;
  const Window window = {.map = {3, 4, 2}, .kernel = 3};  // two places, patches of 18 elements
  const auto deliver = [&](const Window& w, std::size_t pooled, Spikes spikes, Matrix weights,
                           Matrix currents, std::size_t heights = 1, std::size_t offsets = 0) {
    s.backend->maps().run(DeliverConvolved{.spikes = spikes,
                                           .height = s.memory.view().subview(0, heights),
                                           .pooled = pooled,
                                           .window = w,
                                           .weights = weights,
                                           .offset = s.memory.view().subview(0, offsets),
                                           .currents = currents});
  };
  CHECK_NOTHROW(deliver(window, 1, s.spikes(5, 24), s.matrix(18, 7), s.matrix(5, 14)));
  CHECK_NOTHROW(deliver(window, 2, s.spikes(5, 96), s.matrix(18, 7), s.matrix(5, 14)));
  CHECK_NOTHROW(deliver(window, 2, s.spikes(5, 96), s.matrix(18, 7), s.matrix(5, 14), 1, 7));
  const auto refused = [&](const auto&... arguments) {
    CHECK_THROWS_AS(deliver(arguments...), std::invalid_argument);
  };
  refused(window, 1, s.spikes(5, 23), s.matrix(18, 7), s.matrix(5, 14));
  refused(window, 2, s.spikes(5, 24), s.matrix(18, 7), s.matrix(5, 14));
  refused(window, 2, s.spikes(5, 97), s.matrix(18, 7), s.matrix(5, 14));
  refused(window, 0, s.spikes(5, 0), s.matrix(18, 7), s.matrix(5, 14));
  refused(window, 1, s.spikes(5, 24), s.matrix(17, 7), s.matrix(5, 14));
  refused(window, 1, s.spikes(4, 24), s.matrix(18, 7), s.matrix(5, 14));
  refused(window, 1, s.spikes(5, 24), s.matrix(18, 7), s.matrix(5, 7));
  refused(window, 1, s.spikes(5, 24), s.matrix(18, 7), s.matrix(5, 14), 2);
  refused(window, 1, s.spikes(5, 24), s.matrix(18, 7), s.matrix(5, 14), 1, 6);
  refused(Window{.map = {3, 4, 2}, .stride = 0}, 1, s.spikes(0, 24), s.matrix(2, 7), s.matrix(0, 0));
}

TEST_CASE("spikes and errors that do not fit a window are refused", "[conformance][maps]") {
  Shapes s;
  const Window window = {.map = {3, 4, 2}, .kernel = 3};  // two places, patches of 18 elements
  const auto correlate = [&](const Window& w, std::size_t pooled, Spikes spikes, Matrix b, Matrix sum,
                             std::size_t heights = 1) {
    s.backend->maps().run(CorrelateConvolved{.spikes = spikes,
                                             .height = s.memory.view().subview(0, heights),
                                             .pooled = pooled,
                                             .window = w,
                                             .b = b,
                                             .sum = sum});
  };
  CHECK_NOTHROW(correlate(window, 1, s.spikes(5, 24), s.matrix(5, 14), s.matrix(18, 7)));
  CHECK_NOTHROW(correlate(window, 2, s.spikes(5, 96), s.matrix(5, 14), s.matrix(18, 7), 0));
  const auto refused = [&](const auto&... arguments) {
    CHECK_THROWS_AS(correlate(arguments...), std::invalid_argument);
  };
  refused(window, 1, s.spikes(5, 23), s.matrix(5, 14), s.matrix(18, 7));
  refused(window, 2, s.spikes(5, 24), s.matrix(5, 14), s.matrix(18, 7));
  refused(window, 0, s.spikes(5, 0), s.matrix(5, 14), s.matrix(18, 7));
  refused(window, 1, s.spikes(5, 24), s.matrix(5, 14), s.matrix(17, 7));
  refused(window, 1, s.spikes(4, 24), s.matrix(5, 14), s.matrix(18, 7));
  refused(window, 1, s.spikes(5, 24), s.matrix(5, 7), s.matrix(18, 7));
  refused(window, 1, s.spikes(0, 24), s.matrix(0, 14), s.matrix(18, 7));
  refused(window, 1, s.spikes(5, 24), s.matrix(5, 14), s.matrix(18, 7), 2);
  refused(Window{.map = {3, 4, 2}, .stride = 0}, 1, s.spikes(5, 24), s.matrix(5, 0), s.matrix(2, 7));
}

}  // namespace orthospike::testing
