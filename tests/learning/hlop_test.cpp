#include "learning/protections/hlop.hpp"

#include <cmath>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "learning/subspaces/lateral_hebbian.hpp"
#include "tests/learning/two_projections.hpp"

namespace orthospike::testing {
namespace {

constexpr auto& sizes = TwoProjections::sizes;
constexpr std::size_t batch = TwoProjections::batch;
constexpr std::size_t kept_directions = 4;  // of the activity of the first task

using Ranks = std::vector<std::vector<std::size_t>>;

struct Responses {
  std::string neurons = "linear";
  LateralSettings settings = {};
};

struct Fixture : TwoProjections {
  using TwoProjections::TwoProjections;

  std::unique_ptr<Hlop> hlop(const Ranks& ranks, bool orthonormalise, std::uint64_t seed = 1,
                             const Responses& responses = {}) {
    // Faster than published, for fewer batches.
    Hlop::Settings settings{.ranks = ranks, .orthonormalise = orthonormalise};
    settings.extractor.settings<LateralHebbian::Settings>().learning_rate = {0.1F};
    settings.neurons.choose(responses.neurons);
    if (responses.neurons != "linear") settings.neurons.settings<LateralSettings>() = responses.settings;
    return std::make_unique<Hlop>(context(batch, seed), settings);
  }

  std::vector<float> rows(const Hlop& hlop, std::size_t projection) {
    return backend.download(hlop.subspace(projection)->rows().values);
  }
};

/// Activity of n neurons that lies in a few directions.
std::vector<float> activity_of_first_task(std::size_t n) {
  const std::vector<float> directions = random_values(kept_directions * n, 1);
  const std::vector<float> amounts = random_values(batch * kept_directions, 2);
  std::vector<float> x(batch * n, 0.0F);
  for (std::size_t row = 0; row < batch; ++row) {
    for (std::size_t k = 0; k < kept_directions; ++k) {
      for (std::size_t j = 0; j < n; ++j)
        x[row * n + j] += amounts[row * kept_directions + k] * directions[k * n + j];
    }
  }
  return x;
}

double norm(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

double relative_change(const std::vector<float>& before, const std::vector<float>& after) {
  std::vector<float> change(before.size());
  for (std::size_t i = 0; i < change.size(); ++i) change[i] = after[i] - before[i];
  return norm(change) / norm(before);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b, std::size_t count) {
  return a.size() >= count && b.size() >= count &&
         std::memcmp(a.data(), b.data(), count * sizeof(float)) == 0;
}

/// How the weights of a projection change in a batch of a second task.
enum class Update { unprotected, through_traces, through_gradient };

struct Change {
  double of_weights;       ///< relative
  double of_old_currents;  ///< relative: what the activity of the first task causes
  std::vector<float> weights;
};

Change update_in_second_task(Backend& backend, std::size_t projection, Update update,
                             const Responses& responses = {}) {
  const std::size_t n = sizes[projection], targets = sizes[projection + 1];
  Fixture fixture(backend);
  const auto hlop = fixture.hlop({{6, 6}, {6, 6}}, true, 1, responses);
  const auto old_activity = uploaded(backend, activity_of_first_task(n));
  hlop->begin_task(0);
  CHECK(hlop->presynaptic_operator(projection) == nullptr);
  for (int i = 0; i < 300; ++i) hlop->observe(projection, old_activity.matrix(batch, n), {});
  hlop->end_task();
  hlop->begin_task(1);
  PresynapticOperator* const protect = hlop->presynaptic_operator(projection);
  REQUIRE(protect != nullptr);

  const std::vector<float> before = random_values(n * targets, 3);
  auto weights = uploaded(backend, before);
  const auto trace = uploaded(backend, random_values(batch * n, 4));
  const auto post = uploaded(backend, random_values(batch * targets, 5));
  if (update == Update::through_gradient) {
    auto gradient = backend.allocate<float>(n * targets);
    backend.dense().run(Multiply{.a = trace.matrix(batch, n),
                                 .transpose_a = true,
                                 .b = post.matrix(batch, targets),
                                 .c = gradient.matrix(n, targets)});
    protect->linear()->apply_to_gradient(gradient.matrix(n, targets));
    backend.elementwise().run(Add{.alpha = -0.1F, .x = gradient.view(), .y = weights.view()});
  } else {
    ConstMatrix used = trace.matrix(batch, n);
    if (update == Update::through_traces) used = protect->apply_to_traces(used);
    backend.dense().run(Multiply{.alpha = -0.1F,
                                 .a = used,
                                 .transpose_a = true,
                                 .b = post.matrix(batch, targets),
                                 .beta = 1.0F,
                                 .c = weights.matrix(n, targets)});
  }

  const auto old_currents = [&](const Array<float>& w) {
    Array<float> currents = backend.allocate<float>(batch * targets);
    backend.dense().run(Multiply{
        .a = old_activity.matrix(batch, n), .b = w.matrix(n, targets), .c = currents.matrix(batch, targets)});
    return downloaded(backend, currents);
  };
  const std::vector<float> after = downloaded(backend, weights);
  return {relative_change(before, after),
          relative_change(old_currents(uploaded(backend, before)), old_currents(weights)), after};
}

}  // namespace

TEST_CASE("protected updates leave the currents of old activity as they were", "[hlop]") {
  on_each_backend([](Backend& backend) {
    for (const std::size_t projection : {0U, 1U}) {
      INFO("projection " << projection);
      const Change plain = update_in_second_task(backend, projection, Update::unprotected);
      const Change traces = update_in_second_task(backend, projection, Update::through_traces);
      const Change gradient = update_in_second_task(backend, projection, Update::through_gradient);
      CHECK(plain.of_old_currents > 0.02);
      CHECK(traces.of_old_currents < 2e-6);
      CHECK(gradient.of_old_currents < 2e-6);
      // What was not taken away is still learned.
      CHECK(traces.of_weights > 0.7 * plain.of_weights);
      CHECK(relative_change(traces.weights, gradient.weights) < 1e-6);
    }
  });
}

TEST_CASE("rows are kept for as many directions as the activity has, as they are if for all", "[hlop]") {
  on_each_backend([](Backend& backend) {
    for (const std::size_t projection : {0U, 1U}) {
      const std::size_t n = sizes[projection];
      const std::vector<float> activity = activity_of_first_task(n);
      const auto x = uploaded(backend, activity), silence = uploaded(backend, std::vector<float>(batch * n));
      const auto learn = [&](std::size_t rank, const Array<float>& shown) {
        Fixture fixture(backend);
        const auto hlop = fixture.hlop({{rank, rank}}, false);
        hlop->begin_task(0);
        for (int i = 0; i < 50; ++i) hlop->observe(projection, shown.matrix(batch, n), {});
        const std::vector<float> before = fixture.rows(*hlop, projection);
        hlop->end_task();
        return std::pair(before, fixture.rows(*hlop, projection));
      };
      const auto [some, same] = learn(kept_directions, x);
      CHECK(same_bits(some, same, n * kept_directions));
      CHECK(some.size() == same.size());
      CHECK(learn(6, silence).second.empty());

      const auto [all, kept] = learn(kept_directions + 3, x);
      REQUIRE(all.size() == n * (kept_directions + 3));
      REQUIRE(kept.size() == n * kept_directions);
      // The activity sees no difference: hᵀ h x is what it was.
      const auto explained = [&](const std::vector<float>& h) {
        std::vector<float> result(activity.size(), 0.0F);
        for (std::size_t row = 0; row < batch; ++row) {
          for (std::size_t k = 0; k < h.size() / n; ++k) {
            double response = 0;
            for (std::size_t j = 0; j < n; ++j)
              response += static_cast<double>(h[k * n + j]) * activity[row * n + j];
            for (std::size_t j = 0; j < n; ++j)
              result[row * n + j] += static_cast<float>(response) * h[k * n + j];
          }
        }
        return result;
      };
      CHECK(relative_change(explained(all), explained(kept)) < 1e-5);
    }
  });
}

TEST_CASE("what quantised and spiking responses leak falls with the lateral steps",
          "[hlop][lateral_neurons]") {
  on_each_backend([](Backend& backend) {
    for (const std::size_t projection : {0U, 1U}) {
      const Change plain = update_in_second_task(backend, projection, Update::unprotected);
      for (const std::string neurons : {"quantised", "spiking"}) {
        // Quanta are 0.5, 0.1 and 0.02; traces lie between -1 and 1. Linear responses leak below 2e-6.
        double before = plain.of_old_currents;
        for (const std::size_t steps : {40U, 200U, 1000U}) {
          const Responses responses{.neurons = neurons, .settings = {.scale = 20, .steps = steps}};
          const Change change = update_in_second_task(backend, projection, Update::through_traces, responses);
          INFO(neurons << ", projection " << projection << ", " << steps << " steps: " << before << " to "
                       << change.of_old_currents);
          CHECK(change.of_old_currents < 0.5 * before);
          CHECK(change.of_old_currents > 5e-4);
          CHECK(change.of_weights > 0.7 * plain.of_weights);
          before = change.of_old_currents;
        }
      }
    }
  });
}

template <class Operator>
concept acts_on_gradients = requires(Operator& on, Matrix gradient) {
  on.apply_to_gradient(gradient);
};

TEST_CASE("only linear responses can act on gradients", "[hlop][lateral_neurons]") {
  STATIC_REQUIRE_FALSE(acts_on_gradients<PresynapticOperator>);
  STATIC_REQUIRE(acts_on_gradients<LinearOperator>);
  const auto backend = make_backend("cpu", 1);
  Fixture fixture(*backend);
  for (const std::string neurons : {"linear", "quantised", "spiking"}) {
    INFO(neurons);
    const auto hlop = fixture.hlop({{2, 2}, {2, 2}}, true, 1, {.neurons = neurons});
    hlop->begin_task(0);
    hlop->end_task();
    hlop->begin_task(1);
    CHECK((hlop->presynaptic_operator(0)->linear() != nullptr) == (neurons == "linear"));
  }
}

/// The circuit step by step, each spike delivered by itself.
TEST_CASE("spiking neurons give the feedback of all their spikes", "[hlop][lateral_neurons]") {
  constexpr std::size_t n = sizes[0], rank = 4, steps = 30;
  constexpr double scale = 2;
  on_each_backend([](Backend& backend) {
    Fixture fixture(backend);
    const auto hlop =
        fixture.hlop({{rank, 1}, {1, 1}}, true, 1, {.neurons = "spiking", .settings = {2.0F, steps}});
    const std::vector<float> traces = random_values(batch * n, 4, -3.0F, 3.0F);  // some responses beyond ±2
    const auto x = uploaded(backend, traces);
    hlop->begin_task(0);
    hlop->end_task();
    hlop->begin_task(1);
    const std::vector<float> h = fixture.rows(*hlop, 0);

    std::vector<double> expected(traces.begin(), traces.end());
    std::size_t saturated = 0;
    for (std::size_t row = 0; row < batch; ++row) {
      for (std::size_t m = 0; m < rank; ++m) {
        double current = 0, potential = 0;
        for (std::size_t j = 0; j < n; ++j)
          current += static_cast<double>(h[m * n + j]) * traces[row * n + j];
        saturated += std::abs(current) > scale ? 1U : 0U;
        for (std::size_t t = 0; t < steps; ++t) {
          potential += current;
          if (std::abs(potential) < scale / 2) continue;
          const double sign = potential > 0 ? 1 : -1;
          potential -= sign * scale;
          for (std::size_t j = 0; j < n; ++j) expected[row * n + j] -= sign * scale / steps * h[m * n + j];
        }
      }
    }
    CHECK(saturated > 0);
    CHECK(saturated < batch * rank);
    const ConstMatrix residual = hlop->presynaptic_operator(0)->apply_to_traces(x.matrix(batch, n));
    const std::vector<float> actual = backend.download(residual.values);
    CHECK(difference(expected, {actual.begin(), actual.end()}) < 1e-6);
  });
}

TEST_CASE("old rows are taken out of traces", "[hlop]") {
  on_each_backend([](Backend& backend) {
    Fixture fixture(backend);
    const auto hlop = fixture.hlop({{3, 2}, {3, 2}}, false);
    const std::size_t n = sizes[0];
    const auto x = uploaded(backend, random_values(batch * n, 1));
    hlop->begin_task(0);
    for (int i = 0; i < 20; ++i) hlop->observe(0, x.matrix(batch, n), {});
    hlop->end_task();
    hlop->begin_task(1);
    const std::vector<float> h = fixture.rows(*hlop, 0);

    // Batches follow each other in the same memory and may be smaller than the largest.
    Array<float> given = backend.allocate<float>(batch * n);
    std::uint32_t seed = 2;
    for (const std::size_t rows : {batch, batch, std::size_t{5}}) {
      const std::vector<float> traces = random_values(rows * n, seed++);
      backend.upload(std::span<const float>(traces), given.view().subview(0, rows * n));
      std::vector<double> expected(traces.begin(), traces.end());
      for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t i = 0; i < 3; ++i) {  // of six rows, three are old
          double response = 0;
          for (std::size_t j = 0; j < n; ++j)
            response += static_cast<double>(h[i * n + j]) * traces[row * n + j];
          for (std::size_t j = 0; j < n; ++j) expected[row * n + j] -= response * h[i * n + j];
        }
      }
      const ConstMatrix projected = hlop->presynaptic_operator(0)->apply_to_traces(given.matrix(rows, n));
      CHECK(projected.rows == rows);
      CHECK(projected.cols == n);
      const std::vector<float> actual = backend.download(projected.values);
      CHECK(difference(expected, {actual.begin(), actual.end()}) < 1e-6);
      CHECK(backend.download(View<const float>(given.view().subview(0, rows * n))) == traces);
    }
  });
}

TEST_CASE("old rows are taken out of spikes along their events", "[hlop]") {
  on_each_backend([](Backend& backend) {
    Fixture fixture(backend);
    const auto hlop = fixture.hlop({{3, 2}, {3, 2}}, false);
    const std::size_t n = sizes[0];
    const auto activity = uploaded(backend, random_values(batch * n, 1));
    hlop->begin_task(0);
    for (int i = 0; i < 20; ++i) hlop->observe(0, activity.matrix(batch, n), {});
    hlop->end_task();
    hlop->begin_task(1);
    SpikeArrays spikes = uploaded_spikes(backend, random_events(batch, n, 0.3, 2), n);
    Array<float> x = backend.allocate<float>(batch * n), again = backend.allocate<float>(batch * n);
    backend.delivery().run(ExpandSpikes{.spikes = spikes.view(), .x = x.matrix(batch, n)});
    backend.copy(View<const float>(x.view()), again.view());
    PresynapticOperator& remove = *hlop->presynaptic_operator(0);
    const std::vector<float> by_events =
        backend.download(remove.apply_to_traces({x.matrix(batch, n), spikes.view()}).values);
    const std::vector<float> dense = backend.download(remove.apply_to_traces(again.matrix(batch, n)).values);
    CHECK(difference({dense.begin(), dense.end()}, {by_events.begin(), by_events.end()}) < 1e-6);
    CHECK(by_events != downloaded(backend, x));
  });
}

TEST_CASE("at the end of a task its rows freeze", "[hlop]") {
  on_each_backend([](Backend& backend) {
    for (const bool orthonormalise : {false, true}) {
      INFO("orthonormalised: " << orthonormalise);
      Fixture fixture(backend);
      const auto hlop = fixture.hlop({{4, 3}, {2, 5}}, orthonormalise);
      const std::size_t n = sizes[0];
      const auto first = uploaded(backend, random_values(batch * n, 1));
      const auto second = uploaded(backend, random_values(batch * n, 2));
      const Subspace& subspace = *hlop->subspace(0);

      hlop->begin_task(0);
      CHECK(subspace.rank() == 4);
      CHECK(subspace.old_rank() == 0);
      CHECK(hlop->subspace(1)->rank() == 3);
      const std::vector<float> initial = fixture.rows(*hlop, 0);
      for (int i = 0; i < 20; ++i) hlop->observe(0, first.matrix(batch, n), {});
      const std::vector<float> learned = fixture.rows(*hlop, 0);
      CHECK(learned != initial);
      hlop->end_task();
      const std::vector<float> frozen = fixture.rows(*hlop, 0);
      CHECK(subspace.old_rank() == 4);
      CHECK(same_bits(learned, frozen, learned.size()) == !orthonormalise);

      hlop->begin_task(1);
      CHECK(subspace.rank() == 6);
      CHECK(subspace.old_rank() == 4);
      CHECK(hlop->subspace(1)->rank() == 8);
      const std::vector<float> appended = fixture.rows(*hlop, 0);
      for (int i = 0; i < 20; ++i) {
        hlop->presynaptic_operator(0)->apply_to_traces(second.matrix(batch, n));
        hlop->observe(0, second.matrix(batch, n), {});
      }
      const std::vector<float> after = fixture.rows(*hlop, 0);
      CHECK(same_bits(frozen, appended, frozen.size()));
      CHECK(same_bits(frozen, after, frozen.size()));
      CHECK(after != appended);
      hlop->end_task();
      CHECK(same_bits(frozen, fixture.rows(*hlop, 0), frozen.size()));
      CHECK(subspace.old_rank() == 6);
    }
  });
}

TEST_CASE("a residual is computed once where traces are the activity", "[hlop]") {
  on_each_backend([](Backend& backend) {
    Fixture fixture(backend);
    const std::size_t n = sizes[0], old = 4;
    const Ranks ranks = {{old, 1}, {3, 1}};
    // The first takes the residual of its traces for the activity; the second is given both apart; the third
    // projects gradients and has no traces. Batches follow each other in the same memory.
    const auto reusing = fixture.hlop(ranks, true);
    const auto apart = fixture.hlop(ranks, true);
    const auto by_gradient = fixture.hlop(ranks, true);
    Array<float> x = backend.allocate<float>(batch * n), copy = backend.allocate<float>(batch * n);
    auto gradient = uploaded(backend, random_values(n * 2, 9));
    const auto fill = [&](std::uint32_t seed) {
      const std::vector<float> values = random_values(batch * n, seed);
      backend.upload(std::span<const float>(values), x.view());
      backend.upload(std::span<const float>(values), copy.view());
    };
    fill(1);
    for (Hlop* hlop : {reusing.get(), apart.get(), by_gradient.get()}) {
      hlop->begin_task(0);
      hlop->observe(0, std::as_const(x).matrix(batch, n), {});
      hlop->end_task();
      hlop->begin_task(1);
    }
    double saved = 0;
    const ConstMatrix activity = x.matrix(batch, n), traces = copy.matrix(batch, n);
    for (std::uint32_t i = 2; i < 6; ++i) {
      fill(i);
      const double start = backend.multiply_adds();
      const auto projected =
          backend.download(reusing->presynaptic_operator(0)->apply_to_traces(activity).values);
      reusing->observe(0, activity, {});
      const double reused = backend.multiply_adds();
      CHECK(projected == backend.download(apart->presynaptic_operator(0)->apply_to_traces(traces).values));
      apart->observe(0, activity, {});
      saved = backend.multiply_adds() - reused - (reused - start);
      CHECK(saved == 2.0 * batch * old * n);
      by_gradient->presynaptic_operator(0)->linear()->apply_to_gradient(gradient.matrix(n, 2));
      by_gradient->observe(0, activity, {});
    }
    const std::vector<float> expected = fixture.rows(*apart, 0);
    CHECK(same_bits(fixture.rows(*reusing, 0), expected, expected.size()));
    CHECK(same_bits(fixture.rows(*by_gradient, 0), expected, expected.size()));
  });
}

TEST_CASE("the rank ends at the number of presynaptic neurons", "[hlop]") {
  on_each_backend([](Backend& backend) {
    Fixture fixture(backend);
    const auto hlop = fixture.hlop({{20, 1}, {20, 1}, {20, 1}}, true);
    const std::size_t n = sizes[0];
    const auto x = uploaded(backend, random_values(batch * n, 1));
    const auto more = uploaded(backend, random_values(2 * n * n, 2));  // in all directions
    for (std::size_t task = 0; task < 3; ++task) {
      INFO("task " << task);
      hlop->begin_task(task);
      CHECK(hlop->subspace(0)->rank() == (task == 0 ? 20 : n));
      CHECK(hlop->subspace(1)->rank() == task + 1);
      if (task > 0) hlop->presynaptic_operator(0)->apply_to_traces(x.matrix(batch, n));
      for (std::size_t row = 0; row < 2 * n; row += batch)
        hlop->observe(0, more.matrix(2 * n, n).row_range(row, batch), {});
      hlop->end_task();
    }
    // All directions are old: nothing is left to learn.
    const ConstMatrix rest = hlop->presynaptic_operator(0)->apply_to_traces(x.matrix(batch, n));
    CHECK(norm(backend.download(rest.values)) < 1e-5);
  });
}

TEST_CASE("without old rows nothing is projected", "[hlop]") {
  const auto backend = make_backend("cpu", 1);
  Fixture fixture(*backend);
  const auto hlop = fixture.hlop({{0, 2}, {3, 0}}, true);
  const auto x = uploaded(*backend, random_values(batch * sizes[0], 1));
  hlop->begin_task(0);
  CHECK(hlop->presynaptic_operator(0) == nullptr);
  CHECK(hlop->presynaptic_operator(1) == nullptr);
  hlop->observe(0, x.matrix(batch, sizes[0]), {});
  hlop->end_task();
  hlop->begin_task(1);
  CHECK(hlop->presynaptic_operator(0) == nullptr);
  CHECK(hlop->presynaptic_operator(1) != nullptr);
  CHECK(hlop->subspace(0)->new_rank() == 3);
  CHECK(hlop->subspace(1)->new_rank() == 0);
}

TEST_CASE("initial rows depend on seed, task and projection", "[hlop]") {
  const auto backend = make_backend("cpu", 1);
  Fixture fixture(*backend);
  // The first rows that a projection gets.
  const auto initial = [&](std::uint64_t seed, std::size_t task, std::size_t projection) {
    Ranks ranks(task + 1, {0, 0});
    ranks[task] = {2, 2};
    const auto hlop = fixture.hlop(ranks, false, seed);
    for (std::size_t i = 0; i <= task; ++i) {
      hlop->begin_task(i);
      hlop->end_task();
    }
    return fixture.rows(*hlop, projection);
  };
  const std::vector<float> first = initial(1, 0, 0);
  CHECK(first == initial(1, 0, 0));
  CHECK(first != initial(2, 0, 0));
  CHECK(first != initial(1, 1, 0));
  // Rows of the other projection are longer: of one stream they would begin as these do, up to a factor.
  const std::vector<float> second = initial(1, 0, 1);
  const auto cosine = [](const float* a, const float* b, std::size_t count) {
    double product = 0, of_a = 0, of_b = 0;
    for (std::size_t i = 0; i < count; ++i) {
      product += static_cast<double>(a[i]) * b[i];
      of_a += static_cast<double>(a[i]) * a[i];
      of_b += static_cast<double>(b[i]) * b[i];
    }
    return std::abs(product) / std::sqrt(of_a * of_b);
  };
  CHECK(cosine(first.data(), second.data(), sizes[0]) < 0.9);
}

TEST_CASE("no protection has no subspace and no operator", "[hlop]") {
  const auto backend = make_backend("reference", 1);
  Fixture fixture(*backend);
  const auto none = protections().make("none", fixture.context());
  none->begin_task(0);
  none->observe(0, {}, {});
  none->end_task();
  none->begin_task(1);
  CHECK(none->presynaptic_operator(0) == nullptr);
  CHECK(none->subspace(0) == nullptr);
  CHECK_THROWS_AS(protections().make("abacus", fixture.context()), ConfigError);
}

TEST_CASE("projections that tasks share come before those to read-outs of their own", "[hlop]") {
  const auto backend = make_backend("cpu", 1);
  Fixture fixture(*backend);
  CHECK(shared_projections(fixture.network, false).size() == 2);
  CHECK(shared_projections(fixture.network, true).size() == 1);
  fixture.network.add_projection("past", 0, 2);
  CHECK(shared_projections(fixture.network, true).size() == 1);
  fixture.network.add_population(
      {.name = "more",
       .size = 3,
       .kind = Population::Kind::spiking,
       .neuron = PlainNeurons{.steps = 5, .dt = 0.1F, .tau = 1, .threshold = 1, .firing_fraction = 1}.make(
           "lif_dsr", *backend)});
  fixture.network.add_projection("onwards", 0, 3);
  CHECK(shared_projections(fixture.network, false).size() == 4);
  CHECK_THROWS_AS(shared_projections(fixture.network, true), std::invalid_argument);
}

TEST_CASE("of the first projections alone something is kept", "[hlop]") {
  const auto backend = make_backend("cpu", 1);
  Fixture fixture(*backend);
  auto hlop = fixture.hlop({{2}}, true);
  const Hlop& inside = *hlop;
  FirstProjections first(std::move(hlop), 1);
  const auto x = uploaded(*backend, random_values(batch * sizes[0], 1));
  const auto y = uploaded(*backend, random_values(batch * sizes[1], 2));
  first.begin_task(0);
  const auto rows = [&] { return std::pair{fixture.rows(inside, 0), fixture.rows(inside, 1)}; };
  const auto before = rows();
  first.observe(0, x.matrix(batch, sizes[0]), {});
  first.observe(1, y.matrix(batch, sizes[1]), {});
  CHECK(rows().first != before.first);
  CHECK(rows().second == before.second);
  first.end_task();
  CHECK(first.presynaptic_operator(0) != nullptr);
  CHECK(first.subspace(0)->rank() == 2);
  CHECK(first.effective_rank(0) > 0);
  CHECK(first.memory(0) > 0);
  CHECK(first.change_operator(1) == nullptr);
  CHECK(first.presynaptic_operator(1) == nullptr);
  CHECK(first.subspace(1) == nullptr);
  CHECK(first.effective_rank(1) == 0);
  CHECK(first.memory(1) == 0);
}

TEST_CASE("tasks beyond those with ranks get the last ranks", "[hlop]") {
  const auto backend = make_backend("cpu", 1);
  Fixture fixture(*backend);
  const auto hlop = fixture.hlop({{3, 2}, {4, 1}}, false);
  for (std::size_t task = 0; task < 4; ++task) {
    hlop->begin_task(task);
    CHECK(hlop->subspace(0)->rank() == 3 + 4 * task);
    CHECK(hlop->subspace(1)->rank() == 2 + task);
    hlop->end_task();
  }
}

}  // namespace orthospike::testing
