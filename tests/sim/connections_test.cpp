#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "sim/connections/average_pool.hpp"
#include "sim/connections/channel_bias.hpp"
#include "sim/connections/convolution.hpp"
#include "sim/connections/dense.hpp"
#include "sim/connections/identity.hpp"
#include "tests/conformance/backends.hpp"
#include "tests/learning/summed_gradient.hpp"

namespace orthospike::testing {
namespace {

using Doubles = std::vector<double>;

struct Case {
  std::string name;
  std::unique_ptr<Connection> connection;
};

/// Every connection, in several shapes.
std::vector<Case> cases() {
  std::vector<Case> all;
  all.push_back({"dense", std::make_unique<Dense>(7, 5)});
  all.push_back({"dense to one", std::make_unique<Dense>(9, 1)});
  all.push_back({"identity", std::make_unique<Identity>(11)});
  all.push_back({"channel_bias", std::make_unique<ChannelBias>(6, 4)});
  all.push_back({"average_pool", std::make_unique<AveragePool>(MapShape{5, 7, 3}, 2)});
  all.push_back({"average_pool of one map", std::make_unique<AveragePool>(MapShape{6, 6, 1}, 3)});
  all.push_back({"conv", std::make_unique<Convolution>(Window{{4, 5, 3}, 3, 1, 1}, 4)});
  all.push_back({"conv with a stride", std::make_unique<Convolution>(Window{{7, 6, 2}, 3, 2, 0}, 5)});
  all.push_back({"conv 1 × 1", std::make_unique<Convolution>(Window{{3, 4, 6}, 1, 2, 0}, 3)});
  all.push_back({"conv after pooling", std::make_unique<Convolution>(Window{{3, 2, 3}, 3, 1, 1}, 4, 2)});
  all.push_back({"conv over all", std::make_unique<Convolution>(Window{{3, 3, 2}, 3, 1, 0}, 6)});
  all.push_back({"conv in groups", std::make_unique<Convolution>(Window{{5, 4, 6}, 3, 2, 1, 3}, 9)});
  all.push_back({"conv of each channel", std::make_unique<Convolution>(Window{{3, 3, 2}, 3, 1, 0, 2}, 2)});
  all.push_back(
      {"conv in groups after pooling", std::make_unique<Convolution>(Window{{3, 2, 4}, 3, 1, 1, 2}, 6, 2)});
  return all;
}

constexpr std::size_t rows = 5;

/// A connection with random weights on a back end.
struct Joint {
  Joint(Backend& b, const Connection& c)
      : backend(b),
        connection(c),
        weights(random_values(c.presynaptic() * c.outputs(), 1)),
        on_backend(uploaded(b, weights)) {}

  ConstMatrix w() const { return on_backend.matrix(connection.presynaptic(), connection.outputs()); }

  std::vector<float> delivered(const std::vector<float>& values) const {
    const Array<float> from = uploaded(backend, values);
    Array<float> to = uploaded(backend, std::vector<float>(rows * connection.targets(), not_a_number));
    connection.deliver(backend, w(), from.matrix(rows, connection.sources()),
                       to.matrix(rows, connection.targets()));
    return downloaded(backend, to);
  }
  std::vector<float> returned(const std::vector<float>& errors) const {
    const Array<float> from = uploaded(backend, errors);
    Array<float> to = uploaded(backend, std::vector<float>(rows * connection.sources(), not_a_number));
    connection.return_errors(backend, w(), from.matrix(rows, connection.targets()),
                             to.matrix(rows, connection.sources()));
    return downloaded(backend, to);
  }

  Backend& backend;
  const Connection& connection;
  std::vector<float> weights;
  Array<float> on_backend;
};

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

void on_each_connection(const std::function<void(Joint&)>& check) {
  for (const auto& [name, connection] : cases()) {
    on_each_backend([&](Backend& backend) {
      INFO(name);
      Joint joint(backend, *connection);
      check(joint);
    });
  }
}

}  // namespace

TEST_CASE("errors come back by the transpose of what currents come by", "[connections]") {
  on_each_connection([](Joint& joint) {
    const std::vector<float> x = random_values(rows * joint.connection.sources(), 2);
    const std::vector<float> e = random_values(rows * joint.connection.targets(), 3);
    CHECK(dot(joint.delivered(x), e) == Approx(dot(x, joint.returned(e))).epsilon(1e-4));
  });
}

TEST_CASE("pairs sum to the gradient by the weights", "[connections]") {
  on_each_connection([](Joint& joint) {
    const Connection& connection = joint.connection;
    const std::vector<float> x = random_values(rows * connection.sources(), 2);
    const std::vector<float> e = random_values(rows * connection.targets(), 3);
    const Array<float> trace = uploaded(joint.backend, x), post = uploaded(joint.backend, e);
    const Pairs pairs = connection.pairs(joint.backend, trace.matrix(rows, connection.sources()),
                                         post.matrix(rows, connection.targets()));
    CHECK(pairs.trace.cols == connection.presynaptic());
    CHECK(pairs.post.cols == connection.outputs());
    if (joint.weights.empty()) return;
    CHECK(pairs.trace.rows == rows * connection.places());
    Array<float> sum = joint.backend.allocate<float>(joint.weights.size());
    add_outer_products(joint.backend, 1.0F, pairs.trace, pairs.post, 0.0F,
                       sum.matrix(connection.presynaptic(), connection.outputs()));
    const std::vector<float> gradient = downloaded(joint.backend, sum);
    // Currents are linear in the weights: with each alone they are the derivative.
    for (std::size_t k = 0; k < joint.weights.size(); ++k) {
      std::vector<float> one(joint.weights.size(), 0.0F);
      one[k] = 1;
      joint.backend.upload(std::span<const float>(one), joint.on_backend.view());
      CHECK(gradient[k] == Approx(dot(joint.delivered(x), e)).margin(1e-4));
    }
  });
}

TEST_CASE("sampled pairs are those of every second or third place along each side", "[connections]") {
  const std::vector<std::pair<Window, std::size_t>> windows = {{{{4, 5, 3}, 3, 1, 1}, 1},
                                                               {{{7, 6, 2}, 3, 2, 0}, 1},
                                                               {{{7, 9, 2}, 3, 2, 1}, 1},
                                                               {{{5, 4, 3}, 3, 1, 1}, 2},
                                                               {{{6, 5, 4}, 3, 1, 1, 2}, 1}};
  for (const auto& [window, pooled] : windows) {
    const Convolution convolution(window, 4 * window.groups, pooled);
    const std::size_t n = convolution.sources(), m = convolution.targets();
    on_each_backend([&](Backend& backend) {
      const Array<float> trace = uploaded(backend, random_values(rows * n, 2));
      const Array<float> post = uploaded(backend, random_values(rows * m, 3));
      Presynaptic activity = trace.matrix(rows, n);
      activity.rows_of_ranks = 3 * rows;
      const auto numbers = [&](const Pairs& pairs) {
        return std::pair{backend.download(pairs.trace.values), backend.download(pairs.post.values)};
      };
      const auto [patches, factors] = numbers(convolution.pairs(backend, activity, post.matrix(rows, m)));
      for (const std::size_t every : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{9},
                                      std::numeric_limits<std::size_t>::max()}) {
        INFO(window.map.height << ", every " << every);
        std::vector<float> some_patches, some_factors;
        std::size_t places = 0;
        for (std::size_t place = 0; place < rows * window.places(); ++place) {
          const auto [y, x, group] = window.place(place % window.places());
          if (y % every != 0 || x % every != 0) continue;
          ++places;
          const auto patch = patches.begin() + static_cast<std::ptrdiff_t>(place * window.patch());
          const auto factor = factors.begin() + static_cast<std::ptrdiff_t>(place * 4);
          some_patches.insert(some_patches.end(), patch, patch + static_cast<std::ptrdiff_t>(window.patch()));
          some_factors.insert(some_factors.end(), factor, factor + 4);
        }
        const Pairs sampled = convolution.sampled_pairs(backend, activity, post.matrix(rows, m), every);
        CHECK(sampled.trace.rows == places);
        CHECK(sampled.trace.all_rows() == 3 * places);
        CHECK(numbers(sampled) == std::pair{some_patches, some_factors});
        // A rank without samples knows how many rows the others have.
        Presynaptic none = ConstMatrix{{}, 0, n};
        none.rows_of_ranks = 3 * rows;
        CHECK(convolution.sampled_pairs(backend, none, {{}, 0, m}, every).trace.all_rows() == 3 * places);
      }
    });
  }
  // Others have no map, or the same row at all places.
  const auto backend = make_backend("cpu", 1);
  const Array<float> trace = uploaded(*backend, random_values(rows * 7, 2));
  const Array<float> post = uploaded(*backend, random_values(rows * 24, 3));
  CHECK(Dense(7, 5).sampled_pairs(*backend, trace.matrix(rows, 7), post.matrix(rows, 5), 2).trace.rows ==
        rows);
  CHECK(
      ChannelBias(6, 4).sampled_pairs(*backend, trace.matrix(rows, 1), post.matrix(rows, 24), 2).trace.rows ==
      6 * rows);
}

TEST_CASE("gradients are sums of pairs, of values and of spikes of any height", "[connections]") {
  on_each_connection([](Joint& joint) {
    Backend& backend = joint.backend;
    const Connection& connection = joint.connection;
    if (joint.weights.empty()) return;
    const std::size_t n = connection.sources(), size = joint.weights.size();
    const EventLists events = random_events(rows, n, 0.4, 4);
    SpikeArrays spikes = uploaded_spikes(backend, events, n);
    const ConstSpikes lists = spikes.view();
    const Array<float> height = uploaded(backend, std::vector<float>{0.3F});
    const Array<float> post = uploaded(backend, random_values(rows * connection.targets(), 3));
    std::vector<float> ones(rows * n, 0.0F), high(rows * n, 0.0F);
    for (std::size_t row = 0; row < rows; ++row) {
      for (const std::uint32_t i : events[row]) {
        ones[row * n + i] = 1;
        high[row * n + i] = 0.3F / 0.05F;
      }
    }
    const Array<float> of_ones = uploaded(backend, ones), of_high = uploaded(backend, high);
    const auto sum = [&](const Presynaptic& trace, float beta) {
      Array<float> result =
          uploaded(backend, beta == 0 ? std::vector<float>(size, not_a_number) : random_values(size, 8));
      connection.add_gradient(backend, trace, post.matrix(rows, connection.targets()), beta,
                              result.matrix(connection.presynaptic(), connection.outputs()));
      return downloaded(backend, result);
    };
    struct Trace {
      Presynaptic given;
      const std::vector<float>& values;
    };
    const std::vector<float> before = random_values(size, 8);
    for (const auto& [given, values] :
         {Trace{of_high.matrix(rows, n), high}, Trace{{lists, height.view(), 0.05F}, high},
          Trace{{lists, {}, 1}, ones}, Trace{{of_ones.matrix(rows, n), lists}, ones}}) {
      const Array<float> plain = uploaded(backend, values);
      const Pairs pairs =
          connection.pairs(backend, plain.matrix(rows, n), post.matrix(rows, connection.targets()));
      const Doubles expected = summed(backend, pairs);
      const Doubles by_pairs =
          summed(backend, connection.pairs(backend, given, post.matrix(rows, connection.targets())));
      const std::vector<float> alone = sum(given, 0), added = sum(given, -0.5F);
      for (std::size_t i = 0; i < size; ++i) {
        CHECK(by_pairs[i] == Approx(expected[i]).margin(1e-4));
        CHECK(alone[i] == Approx(expected[i]).margin(1e-4));
        CHECK(added[i] == Approx(expected[i] - 0.5 * before[i]).margin(1e-4));
      }
    }
  });
}

TEST_CASE("spikes bring what values of their height do, and an offset, in all forms", "[connections]") {
  constexpr float height = 0.3F, dt = 0.05F;
  on_each_connection([&](Joint& joint) {
    Backend& backend = joint.backend;
    const Connection& connection = joint.connection;
    const Array<float> threshold = uploaded(backend, std::vector<float>{height});
    for (const double density : {0.0, 0.1, 0.6, 1.0}) {
      const EventLists events = random_events(rows, connection.sources(), density, 4);
      SpikeArrays spikes = uploaded_spikes(backend, events, connection.sources());
      std::vector<float> values(rows * connection.sources(), 0.0F);
      for (std::size_t row = 0; row < rows; ++row) {
        for (const std::uint32_t i : events[row]) values[row * connection.sources() + i] = height / dt;
      }
      std::vector<float> expected = joint.delivered(values);
      const std::vector<float> offsets = random_values(connection.outputs(), 6);
      const Array<float> offset = uploaded(backend, offsets);
      for (std::size_t i = 0; i < expected.size() && !offsets.empty(); ++i)
        expected[i] += offsets[i % offsets.size()];
      for (const DeliveryForm form : {DeliveryForm::automatic, DeliveryForm::events, DeliveryForm::dense}) {
        INFO("density " << density << ", form " << static_cast<int>(form));
        Array<float> to = uploaded(backend, std::vector<float>(expected.size(), not_a_number));
        connection.deliver(backend, joint.w(),
                           SentSpikes{.spikes = spikes.view(),
                                      .height = threshold.view(),
                                      .dt = dt,
                                      .form = form,
                                      .crossover = 0.3F},
                           to.matrix(rows, connection.targets()), offset.view());
        const std::vector<float> actual = downloaded(backend, to);
        for (std::size_t i = 0; i < actual.size(); ++i) CHECK(actual[i] == Approx(expected[i]).margin(1e-4));
      }
    }
  });
}

TEST_CASE("a convolution of many spikes is a dense product, where the form is left to be found",
          "[connections]") {
  const Convolution plain({{6, 6, 4}, 3, 1, 1}, 5), pooling({{6, 6, 4}, 3, 1, 1}, 5, 2),
      grouped({{6, 6, 4}, 3, 1, 1, 2}, 6);
  for (const Convolution* const convolution : {&plain, &pooling, &grouped}) {
    on_each_backend([&](Backend& backend) {
      if (backend.name() == "cuda") return;  // where the host does not know the spikes
      const Joint joint(backend, *convolution);
      const Array<float> height = uploaded(backend, std::vector<float>{1});
      Array<float> currents = backend.allocate<float>(rows * convolution->targets());
      const auto is_dense = [&](std::size_t spikes) {
        EventLists events(rows);
        for (auto& row : events) {
          for (std::uint32_t i = 0; i < spikes; ++i) row.push_back(i);
        }
        SpikeArrays arrays = uploaded_spikes(backend, events, convolution->sources());
        const double before = backend.multiply_adds();
        convolution->deliver(backend, joint.w(),
                             SentSpikes{.spikes = arrays.view(), .height = height.view(), .crossover = 0.25F},
                             currents.matrix(rows, convolution->targets()));
        return backend.multiply_adds() > before;
      };
      // Spikes for each of the 144 elements of the map that the kernel sees; a dense product has all groups at each place.
      const std::size_t most = convolution == &grouped ? 72 : 36;
      CHECK_FALSE(is_dense(most));
      CHECK(is_dense(most + 1));
    });
  }
}

TEST_CASE("presynaptic rows after pooling are those of all rows, however many", "[connections]") {
  const Convolution convolution({{16, 16, 8}, 1, 1, 0}, 4, 2);
  on_each_backend([&](Backend& backend) {
    constexpr std::size_t many = 600;  // more than are pooled at once
    const std::size_t n = convolution.sources();
    std::vector<float> values(many * n);
    for (std::size_t row = 0; row < many; ++row)
      std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(row * n), n, static_cast<float>(row));
    const Array<float> trace = uploaded(backend, values);
    const Presynaptic found = convolution.rows(backend, trace.matrix(many, n));
    REQUIRE(found.rows == many * convolution.places());
    const std::vector<float> patches = backend.download(found.values);
    const std::size_t size = patches.size() / many;
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < patches.size(); ++i) wrong += patches[i] != static_cast<float>(i / size);
    CHECK(wrong == 0);
  });
}

TEST_CASE("as many targets are counted as a spike has", "[connections]") {
  on_each_connection([](Joint& joint) {
    const Connection& connection = joint.connection;
    joint.backend.upload(std::span<const float>(std::vector<float>(joint.weights.size(), 1.0F)),
                         joint.on_backend.view());
    std::ptrdiff_t reached = 0;
    for (std::size_t i = 0; i < connection.sources(); ++i) {
      std::vector<float> one(rows * connection.sources(), 0.0F);
      one[i] = 1;
      reached += std::ranges::count_if(joint.delivered(one), [](float current) { return current > 0; });
    }
    CHECK(static_cast<double>(reached) ==
          Approx(connection.fan_out() * static_cast<double>(connection.sources())));
  });
}

TEST_CASE("more rows than are worked on at once are as the first of them again", "[connections]") {
  const Convolution plain({{16, 16, 8}, 3, 1, 1}, 4), pooling({{16, 16, 8}, 3, 1, 1}, 4, 2);
  const AveragePool pool({64, 64, 8}, 2);
  for (const Connection* const connection :
       {static_cast<const Connection*>(&plain), static_cast<const Connection*>(&pooling),
        static_cast<const Connection*>(&pool)}) {
    on_each_backend([&](Backend& backend) {
      constexpr std::size_t many = 135, period = 9;
      const std::size_t n = connection->sources(), m = connection->targets();
      const auto repeated = [&](std::size_t size, std::uint32_t seed) {
        const std::vector<float> some = random_values(period * size, seed);
        std::vector<float> all;
        for (std::size_t k = 0; k < many / period; ++k) all.insert(all.end(), some.begin(), some.end());
        return uploaded(backend, all);
      };
      const auto is_repeated = [&](const Array<float>& array) {
        const std::vector<float> values = downloaded(backend, array);
        const std::size_t size = values.size() / (many / period);
        for (std::size_t i = size; i < values.size(); ++i) {
          if (values[i] != Approx(values[i - size]).margin(1e-5)) return false;
        }
        return true;
      };
      const Array<float> weights =
          uploaded(backend, random_values(connection->presynaptic() * connection->outputs(), 1));
      const ConstMatrix w = weights.matrix(connection->presynaptic(), connection->outputs());
      Array<float> currents = backend.allocate<float>(many * m), errors = backend.allocate<float>(many * n);
      connection->deliver(backend, w, repeated(n, 2).matrix(many, n), currents.matrix(many, m));
      CHECK(is_repeated(currents));
      connection->return_errors(backend, w, repeated(m, 3).matrix(many, m), errors.matrix(many, n));
      CHECK(is_repeated(errors));
      EventLists events, some = random_events(period, n, 0.1, 4);
      for (std::size_t k = 0; k < many; ++k) events.push_back(some[k % period]);
      SpikeArrays spikes = uploaded_spikes(backend, events, n);
      const Array<float> height = uploaded(backend, std::vector<float>{1});
      connection->deliver(
          backend, w,
          SentSpikes{.spikes = spikes.view(), .height = height.view(), .form = DeliveryForm::dense},
          currents.matrix(many, m));
      CHECK(is_repeated(currents));
      CHECK(std::ranges::any_of(downloaded(backend, currents), [](float value) { return value != 0; }));
      if (connection->presynaptic() == 0) return;
      // Gradients are sums over rows: of all so many times that of the first.
      const auto gradient = [&](const Presynaptic& trace) {
        const Array<float> post = repeated(m, 3);
        Array<float> sum = backend.allocate<float>(weights.size());
        connection->add_gradient(backend, trace, post.matrix(many, m).first_rows(trace.rows), 0,
                                 sum.matrix(w.rows, w.cols));
        return downloaded(backend, sum);
      };
      const Array<float> values = repeated(n, 2);
      const ConstMatrix all = values.matrix(many, n);
      const ConstSpikes lists = spikes.view();
      const std::vector<float> whole = gradient(all), part = gradient(all.first_rows(period));
      const std::vector<float> of_spikes = gradient({lists, height.view(), 1.0F}),
                               of_some = gradient({lists.row_range(0, period), height.view(), 1.0F});
      for (std::size_t i = 0; i < whole.size(); ++i) {
        CHECK(whole[i] == Approx(part[i] * (many / period)).margin(1e-2));
        CHECK(of_spikes[i] == Approx(of_some[i] * (many / period)).margin(1e-2));
      }
    });
  }
}

TEST_CASE("shapes that are not a connection's are refused", "[connections]") {
  const auto backend = make_backend("reference", 1);
  for (const auto& [name, connection] : cases()) {
    INFO(name);
    const std::size_t n = connection->sources(), m = connection->targets();
    Array<float> values = backend->allocate<float>(2 * (n + 1)),
                 currents = backend->allocate<float>(2 * (m + 1));
    Array<float> weights =
        backend->allocate<float>((connection->presynaptic() + 1) * (connection->outputs() + 1));
    const ConstMatrix w = std::as_const(weights).matrix(connection->presynaptic(), connection->outputs());
    const ConstMatrix wrong =
        std::as_const(weights).matrix(connection->presynaptic() + 1, connection->outputs());
    CHECK_NOTHROW(connection->deliver(*backend, w, values.matrix(2, n), currents.matrix(2, m)));
    CHECK_THROWS_AS(connection->deliver(*backend, wrong, values.matrix(2, n), currents.matrix(2, m)),
                    std::invalid_argument);
    CHECK_THROWS_AS(connection->deliver(*backend, w, values.matrix(2, n + 1), currents.matrix(2, m)),
                    std::invalid_argument);
    CHECK_THROWS_AS(connection->deliver(*backend, w, values.matrix(2, n), currents.matrix(2, m + 1)),
                    std::invalid_argument);
    CHECK_THROWS_AS(connection->deliver(*backend, w, values.matrix(2, n), currents.matrix(1, m)),
                    std::invalid_argument);
    SpikeArrays spikes = uploaded_spikes(*backend, EventLists(2), n);
    const View<const float> numbers = std::as_const(weights).view();
    const SentSpikes sent{.spikes = spikes.view(), .height = numbers.subview(0, 1)};
    CHECK_NOTHROW(connection->deliver(*backend, w, sent, currents.matrix(2, m)));
    CHECK_THROWS_AS(connection->deliver(*backend, w, sent, currents.matrix(2, m),
                                        numbers.subview(0, connection->outputs() + 1)),
                    std::invalid_argument);
    CHECK_THROWS_AS(connection->return_errors(*backend, w, currents.matrix(2, m + 1), values.matrix(2, n)),
                    std::invalid_argument);
    CHECK_THROWS_AS(connection->rows(*backend, values.matrix(2, n + 1)), std::invalid_argument);
    CHECK_THROWS_AS(connection->factors(currents.matrix(2, m + 1)), std::invalid_argument);
  }
  CHECK_THROWS_AS(Convolution(Window{{2, 2, 1}, 3, 1, 0}, 4), std::invalid_argument);
  CHECK_THROWS_AS(Convolution(Window{{2, 2, 3}, 1, 1, 0, 2}, 4), std::invalid_argument);
  CHECK_THROWS_AS(Convolution(Window{{2, 2, 4}, 1, 1, 0, 2}, 3), std::invalid_argument);
  CHECK_THROWS_AS(AveragePool(MapShape{2, 2, 1}, 3), std::invalid_argument);
}

}  // namespace orthospike::testing
