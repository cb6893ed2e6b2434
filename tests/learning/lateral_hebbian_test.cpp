#include "learning/subspaces/lateral_hebbian.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"
#include "kernels/subspaces.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

using Doubles = std::vector<double>;

/// A row-major matrix on the host.
struct Table {
  std::size_t rows = 0;
  std::size_t cols = 0;
  Doubles values;

  double& at(std::size_t row, std::size_t col) { return values[row * cols + col]; }
  double at(std::size_t row, std::size_t col) const { return values[row * cols + col]; }
};

Table downloaded_table(Backend& backend, ConstMatrix matrix) {
  const std::vector<float> values = backend.download(matrix.values);
  return {matrix.rows, matrix.cols, {values.begin(), values.end()}};
}

/// a bᵀ
Table times_transposed(const Table& a, const Table& b) {
  Table product{a.rows, b.rows, Doubles(a.rows * b.rows, 0.0)};
  for (std::size_t i = 0; i < a.rows; ++i) {
    for (std::size_t j = 0; j < b.rows; ++j) {
      for (std::size_t k = 0; k < a.cols; ++k) product.at(i, j) += a.at(i, k) * b.at(j, k);
    }
  }
  return product;
}

double squared_norm(const Table& a) {
  double sum = 0;
  for (const double value : a.values) sum += value * value;
  return sum;
}

/// Largest element of |h hᵀ - 1|.
double orthonormality_error(const Table& h) {
  const Table overlap = times_transposed(h, h);
  double error = 0;
  for (std::size_t i = 0; i < h.rows; ++i) {
    for (std::size_t j = 0; j < h.rows; ++j) {
      error = std::max(error, std::abs(overlap.at(i, j) - (i == j ? 1.0 : 0.0)));
    }
  }
  return error;
}

/// Root of the sum of the squared sines of the principal angles between the row spaces of h and of the
/// orthonormal rows of `basis`, as many: at least the sine of the largest angle.
double sine_of_angles(Table h, const Table& basis) {
  for (std::size_t i = 0; i < h.rows; ++i) {
    for (int pass = 0; pass < 2; ++pass) {
      for (std::size_t k = 0; k < i; ++k) {
        double overlap = 0;
        for (std::size_t j = 0; j < h.cols; ++j) overlap += h.at(i, j) * h.at(k, j);
        for (std::size_t j = 0; j < h.cols; ++j) h.at(i, j) -= overlap * h.at(k, j);
      }
    }
    double norm = 0;
    for (std::size_t j = 0; j < h.cols; ++j) norm += h.at(i, j) * h.at(i, j);
    for (std::size_t j = 0; j < h.cols; ++j) h.at(i, j) /= std::sqrt(norm);
  }
  const double cosines = squared_norm(times_transposed(h, basis));
  return std::sqrt(std::max(0.0, static_cast<double>(h.rows) - cosines));
}

const LateralHebbian::Settings published{.learning_rate = {0.01F}};

/// Quanta of 0.25.
constexpr LateralSettings coarse{.scale = 2.0F, .steps = 8};

double coarse_response(double current) {
  return std::nearbyint(std::clamp(current, -2.0, 2.0) * 4) / 4;
}

/// The rule as it is written, over all rows, old ones first.
class PlainRule {
 public:
  using Response = std::function<double(double)>;

  PlainRule(Table h, std::size_t old, const LateralHebbian::Settings& settings,
            Response response = std::identity())
      : h_(std::move(h)),
        old_(old),
        settings_(settings),
        response_(std::move(response)),
        velocity_(h_.values.size(), 0.0) {}

  void learn(const Table& x) {
    const std::size_t n = h_.cols;
    for (std::size_t k = 0; k < settings_.iterations; ++k) {
      Table y = times_transposed(x, h_);
      for (double& value : y.values) value = response_(value);
      Table residual = x;
      for (std::size_t row = 0; row < x.rows; ++row) {
        for (std::size_t i = 0; i < h_.rows; ++i) {
          for (std::size_t j = 0; j < n; ++j) residual.at(row, j) -= y.at(row, i) * h_.at(i, j);
        }
      }
      for (std::size_t i = old_; i < h_.rows; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
          double d = 0;
          for (std::size_t row = 0; row < x.rows; ++row) d += y.at(row, i) * residual.at(row, j);
          d /= static_cast<double>(x.rows);
          const double clamp = settings_.clamp;
          clamped_ = clamped_ || std::abs(d) > clamp;
          double& v = velocity_[i * n + j];
          v = settings_.momentum * v +
              (1 - static_cast<double>(settings_.momentum)) * std::clamp(d, -clamp, clamp);
          h_.at(i, j) += settings_.learning_rate[0] * v;
        }
      }
    }
  }

  const Table& rows() const { return h_; }
  /// Whether the clamp ever changed a correlation.
  bool clamped() const { return clamped_; }

 private:
  Table h_;
  std::size_t old_;
  LateralHebbian::Settings settings_;
  Response response_;
  Doubles velocity_;
  bool clamped_ = false;
};

std::unique_ptr<LateralNeurons> neurons_of(const std::string& name, Backend& backend) {
  Choice<LateralNeuronKinds> choice(lateral_neurons());
  choice.choose(name);
  if (name != "linear") choice.settings<LateralSettings>() = coarse;
  return choice.make(backend);
}

/// A subspace with `old` frozen rows and `fresh` new ones, whose extractor is ready to learn.
struct Learner {
  Learner(Backend& b, std::size_t inputs, std::size_t old, std::size_t fresh,
          const LateralHebbian::Settings& settings = published, const std::string& responses = "linear")
      : backend(b),
        subspace(b, inputs),
        neurons(neurons_of(responses, b)),
        extractor(b, *neurons, {}, settings) {
    subspace.append(old, {1, RandomPurpose::subspace, 0});
    subspace.freeze();
    begin_task(fresh);
  }

  void begin_task(std::size_t fresh) {
    subspace.append(fresh, {1, RandomPurpose::subspace, 1 + static_cast<std::uint32_t>(subspace.rank())});
    extractor.begin_task(subspace);
  }

  /// events: the same rows, where they are spikes.
  void learn(const Array<float>& x, std::size_t rows, ConstSpikes events = {}) {
    const std::size_t n = subspace.presynaptic_size();
    const ConstMatrix old = subspace.old_rows();
    Array<float> residual = backend.allocate<float>(rows * n),
                 responses = backend.allocate<float>(rows * old.rows);
    const Matrix y = responses.matrix(rows, old.rows);
    backend.dense().run(Multiply{.a = x.matrix(rows, n), .b = old, .transpose_b = true, .c = y});
    neurons->respond(y);
    backend.dense().run(Multiply{.alpha = -1.0F,
                                 .a = y,
                                 .b = old,
                                 .beta = 1.0F,
                                 .addend = x.matrix(rows, n),
                                 .c = residual.matrix(rows, n)});
    multiply_adds_before = backend.multiply_adds();
    const auto get = [&]() -> ConstMatrix {
      asked_for_residual = true;
      return residual.matrix(rows, n);
    };
    extractor.learn({x.matrix(rows, n), events}, {.get = get}, subspace);
    multiply_adds = backend.multiply_adds() - multiply_adds_before;
  }

  Table rows() { return downloaded_table(backend, subspace.rows()); }

  Backend& backend;
  Subspace subspace;
  std::unique_ptr<LateralNeurons> neurons;
  LateralHebbian extractor;
  bool asked_for_residual = false;
  double multiply_adds_before = 0;
  double multiply_adds = 0;  ///< of the last call of the extractor
};

constexpr std::size_t inputs = 37;
constexpr std::size_t fresh_rows = 6;
constexpr std::size_t few = 12;        // samples: the direct form is cheaper
constexpr std::size_t many = 40 * 12;  // the shortcut is cheaper

std::vector<float> repeated(const std::vector<float>& values, std::size_t times) {
  std::vector<float> result;
  for (std::size_t i = 0; i < times; ++i) result.insert(result.end(), values.begin(), values.end());
  return result;
}

/// Activity whose second moment has the eigenvectors `directions` and exactly the given eigenvalues.
std::vector<float> activity_with(const Table& directions, const Doubles& eigenvalues) {
  std::vector<float> x;
  for (std::size_t i = 0; i < directions.rows; ++i) {
    const double length = std::sqrt(static_cast<double>(directions.rows) * eigenvalues[i]);
    for (std::size_t j = 0; j < directions.cols; ++j) {
      x.push_back(static_cast<float>(length * directions.at(i, j)));
    }
  }
  return x;
}

Table random_rotation(std::size_t n) {
  const auto backend = make_backend("reference", 1);
  auto values = uploaded(*backend, random_values(n * n, 1));
  backend->subspaces().run(OrthonormaliseRows{.h = values.matrix(n, n)});
  return downloaded_table(*backend, values.matrix(n, n));
}

Table part(const Table& table, std::size_t first, std::size_t count) {
  const auto begin = table.values.begin() + static_cast<std::ptrdiff_t>(first * table.cols);
  return {count, table.cols, {begin, begin + static_cast<std::ptrdiff_t>(count * table.cols)}};
}

}  // namespace

TEST_CASE("both forms compute the rule as it is written", "[lateral_hebbian]") {
  for (const std::size_t old : {0U, 5U}) {
    for (const std::size_t samples : {few, many}) {
      // Clamped at 10 nothing is; at a hundredth much is.
      for (const float clamp : {10.0F, 0.01F}) {
        INFO(old << " old rows, " << samples << " samples, clamp " << clamp);
        LateralHebbian::Settings settings = published;
        settings.learning_rate = {0.1F};
        settings.clamp = clamp;
        on_each_backend([&](Backend& backend) {
          Learner learner(backend, inputs, old, fresh_rows, settings);
          PlainRule plain(learner.rows(), old, settings);
          for (std::uint32_t batch = 1; batch <= 3; ++batch) {
            const auto x = uploaded(backend, random_values(samples * inputs, batch));
            learner.learn(x, samples);
            plain.learn(downloaded_table(backend, x.matrix(samples, inputs)));
            CHECK(difference(plain.rows().values, learner.rows().values) < 1e-5);
          }
          CHECK(plain.clamped() == (clamp < 1));
        });
      }
    }
  }
}

TEST_CASE("along events the rule is the same", "[lateral_hebbian]") {
  for (const std::size_t old : {0U, 5U}) {
    for (const float clamp : {10.0F, 0.01F}) {
      for (const std::string responses : {"linear", "quantised"}) {
        INFO(old << " old rows, clamp " << clamp << ", " << responses);
        LateralHebbian::Settings settings = published;
        settings.learning_rate = {0.1F};
        settings.clamp = clamp;
        on_each_backend([&](Backend& backend) {
          Learner by_events(backend, inputs, old, fresh_rows, settings, responses);
          Learner dense(backend, inputs, old, fresh_rows, settings, responses);
          for (std::uint32_t batch = 1; batch <= 3; ++batch) {
            SpikeArrays spikes = uploaded_spikes(backend, random_events(few, inputs, 0.2, batch), inputs);
            Array<float> x = backend.allocate<float>(few * inputs);
            backend.delivery().run(ExpandSpikes{.spikes = spikes.view(), .x = x.matrix(few, inputs)});
            by_events.learn(x, few, spikes.view());
            dense.learn(x, few);
          }
          CHECK(difference(dense.rows().values, by_events.rows().values) < 1e-5);
          if (responses == "linear") CHECK(by_events.multiply_adds < dense.multiply_adds);
        });
      }
    }
  }
}

TEST_CASE("nonlinear responses learn the rule as it is written", "[lateral_hebbian][lateral_neurons]") {
  for (const std::string responses : {"quantised", "spiking"}) {
    for (const std::size_t old : {0U, 5U}) {
      for (const std::size_t samples : {few, many}) {
        INFO(responses << ", " << old << " old rows, " << samples << " samples");
        on_each_backend([&](Backend& backend) {
          Learner learner(backend, inputs, old, fresh_rows, published, responses);
          PlainRule rule(learner.rows(), old, published, coarse_response),
              linear(learner.rows(), old, published);
          for (std::uint32_t batch = 1; batch <= 3; ++batch) {
            const auto x = uploaded(backend, random_values(samples * inputs, batch));
            learner.learn(x, samples);
            rule.learn(downloaded_table(backend, x.matrix(samples, inputs)));
            linear.learn(downloaded_table(backend, x.matrix(samples, inputs)));
          }
          CHECK(difference(rule.rows().values, learner.rows().values) < 1e-5);
          CHECK(difference(linear.rows().values, learner.rows().values) > 1e-4);
        });
      }
    }
  }
}

TEST_CASE("the direct form and the shortcut learn the same", "[lateral_hebbian]") {
  // Samples that are all repeated as often have the same second moment.
  const std::vector<float> once = random_values(few * inputs, 1);
  for (const std::size_t old : {0U, 5U}) {
    INFO(old << " old rows");
    on_each_backend([&](Backend& backend) {
      Learner direct(backend, inputs, old, fresh_rows);
      Learner shortcut(backend, inputs, old, fresh_rows);
      const Table before = direct.rows();
      const auto x = uploaded(backend, once);
      const auto repeated_x = uploaded(backend, repeated(once, many / few));
      for (int batch = 0; batch < 10; ++batch) {
        direct.learn(x, few);
        shortcut.learn(repeated_x, many);
      }
      CHECK(difference(direct.rows().values, shortcut.rows().values) < 1e-5);
      CHECK(difference(before.values, direct.rows().values) > 1e-2);
    });
  }
}

TEST_CASE("the cheaper form is taken", "[lateral_hebbian]") {
  const auto cheaper = [](std::size_t rows, std::size_t n, std::size_t neurons, std::size_t old,
                          bool held = false) {
    const LateralHebbian::Work work{.rows = rows,
                                    .inputs = n,
                                    .new_neurons = neurons,
                                    .old_neurons = old,
                                    .iterations = 5,
                                    .residual_is_held = held};
    return work.shortcut() < work.direct();
  };
  // A batch of permuted MNIST; all patches of a batch of a convolution.
  CHECK_FALSE(cheaper(64, 784, 80, 0));
  CHECK_FALSE(cheaper(64, 784, 70, 80, true));
  CHECK(cheaper(64 * 1024, 27, 6, 0));
  CHECK(cheaper(64 * 256, 576, 20, 100));
  // With 1 neuron and n = 10: 55 N + 5 (100 + 20) against 150 N, and 5 · 40 more with 2 old ones.
  CHECK_FALSE(cheaper(6, 10, 1, 0));
  CHECK(cheaper(7, 10, 1, 0));
  CHECK_FALSE(cheaper(8, 10, 1, 2, true));
  CHECK(cheaper(9, 10, 1, 2, true));
  // Or 40 N more, where the residual is not there yet.
  CHECK_FALSE(cheaper(5, 10, 1, 2));
  CHECK(cheaper(6, 10, 1, 2));

  const auto backend = make_backend("reference", 1);
  for (const std::size_t old : {0U, 5U}) {
    for (const std::size_t samples : {few, many}) {
      INFO(old << " old rows, " << samples << " samples");
      Learner learner(*backend, inputs, old, fresh_rows);
      const auto x = uploaded(*backend, random_values(samples * inputs, 1));
      learner.learn(x, samples);
      const double N = static_cast<double>(samples), n = inputs, m = fresh_rows;
      const double all = m + static_cast<double>(old);
      const double direct = 5 * 3 * N * m * n;
      const double shortcut = N * n * (n + 1) / 2 + 5 * (m * n * n + 2 * m * all * n);
      CHECK(learner.multiply_adds == std::min(direct, shortcut));
      CHECK((shortcut < direct) == (samples == many));
      CHECK(learner.asked_for_residual == (samples == few));
    }
  }
}

TEST_CASE("the subspace converges to the principal one", "[lateral_hebbian]") {
  constexpr std::size_t n = 24, m = 5;
  const Table directions = random_rotation(n);
  Doubles eigenvalues = {4, 3.5, 3, 2.5, 2};
  while (eigenvalues.size() < n) eigenvalues.push_back(0.5 / static_cast<double>(eigenvalues.size()));
  const std::vector<float> samples = activity_with(directions, eigenvalues);
  on_each_backend([&](Backend& backend) {
    Learner learner(backend, n, 0, m);
    CHECK(sine_of_angles(learner.rows(), part(directions, 0, m)) > 0.5);
    const auto x = uploaded(backend, samples);
    for (int batch = 0; batch < 250; ++batch) learner.learn(x, n);
    const Table h = learner.rows();
    CHECK(sine_of_angles(h, part(directions, 0, m)) < 1e-4);
    CHECK(orthonormality_error(h) < 1e-4);

    // ‖x hᵀ h‖² / ‖x‖² is the share of the principal eigenvalues.
    const Table table = downloaded_table(backend, x.matrix(n, n));
    Table h_transposed{n, m, Doubles(n * m)};
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t j = 0; j < n; ++j) h_transposed.at(j, i) = h.at(i, j);
    }
    const double explained = squared_norm(times_transposed(times_transposed(table, h), h_transposed));
    double all = 0;
    for (const double eigenvalue : eigenvalues) all += eigenvalue;
    CHECK(explained / squared_norm(table) == Approx(15 / all).epsilon(1e-4));
  });
}

TEST_CASE("new rows find the principal directions that old rows leave", "[lateral_hebbian]") {
  constexpr std::size_t n = 24;
  const Table directions = random_rotation(n);
  Doubles eigenvalues = {4, 3.5, 3, 2, 1.8};
  while (eigenvalues.size() < n) eigenvalues.push_back(0.2 / static_cast<double>(eigenvalues.size()));
  const std::vector<float> samples = activity_with(directions, eigenvalues);
  on_each_backend([&](Backend& backend) {
    Learner learner(backend, n, 0, 3);
    const auto x = uploaded(backend, samples);
    for (int batch = 0; batch < 400; ++batch) learner.learn(x, n);
    learner.subspace.freeze();
    learner.begin_task(2);
    const std::vector<float> before = backend.download(learner.subspace.old_rows().values);
    for (int batch = 0; batch < 400; ++batch) learner.learn(x, n);
    const Table h = learner.rows();
    CHECK(sine_of_angles(part(h, 0, 3), part(directions, 0, 3)) < 1e-3);
    CHECK(sine_of_angles(part(h, 3, 2), part(directions, 3, 2)) < 1e-3);
    const std::vector<float> after = backend.download(learner.subspace.old_rows().values);
    CHECK(std::memcmp(before.data(), after.data(), before.size() * sizeof(float)) == 0);
  });
}

TEST_CASE("old rows stay the same bit for bit", "[lateral_hebbian]") {
  constexpr std::size_t old = 5;
  on_each_backend([&](Backend& backend) {
    for (const std::size_t samples : {few, many}) {
      INFO(samples << " samples");
      Learner learner(backend, inputs, old, fresh_rows);
      const std::vector<float> before = backend.download(View<const float>(learner.subspace.rows().values));
      const auto x = uploaded(backend, random_values(samples * inputs, 1));
      for (int batch = 0; batch < 5; ++batch) learner.learn(x, samples);
      const std::vector<float> after = backend.download(View<const float>(learner.subspace.rows().values));
      CHECK(std::memcmp(before.data(), after.data(), old * inputs * sizeof(float)) == 0);
      for (std::size_t row = old; row < old + fresh_rows; ++row) {
        CHECK(std::memcmp(&before[row * inputs], &after[row * inputs], inputs * sizeof(float)) != 0);
      }
    }
  });
}

TEST_CASE("a task begins without velocity of the subspace", "[lateral_hebbian]") {
  on_each_backend([](Backend& backend) {
    Learner learner(backend, inputs, 0, fresh_rows);
    const auto x = uploaded(backend, random_values(few * inputs, 1));
    learner.learn(x, few);
    learner.extractor.begin_task(learner.subspace);
    PlainRule plain(learner.rows(), 0, published);
    learner.learn(x, few);
    plain.learn(downloaded_table(backend, x.matrix(few, inputs)));
    CHECK(difference(plain.rows().values, learner.rows().values) < 1e-6);
  });
}

TEST_CASE("appended rows are orthonormal and leave those before as they are", "[subspace]") {
  on_each_backend([](Backend& backend) {
    Subspace subspace(backend, inputs);
    CHECK(subspace.rank() == 0);
    subspace.append(5, {1, RandomPurpose::subspace, 0});
    subspace.freeze();
    const std::vector<float> before = backend.download(subspace.old_rows().values);
    subspace.append(0, {1, RandomPurpose::subspace, 1});
    subspace.append(7, {1, RandomPurpose::subspace, 2});
    CHECK(subspace.rank() == 12);
    CHECK(subspace.old_rank() == 5);
    CHECK(subspace.new_rank() == 7);
    CHECK(subspace.new_rows().rows == 7);
    CHECK(orthonormality_error(downloaded_table(backend, subspace.rows())) < 1e-6);
    CHECK(backend.download(subspace.old_rows().values) == before);
    // Up to a basis of the whole space.
    subspace.append(inputs - 12, {1, RandomPurpose::subspace, 3});
    CHECK(orthonormality_error(downloaded_table(backend, subspace.rows())) < 1e-6);
    CHECK_THROWS_AS(subspace.append(1, {1, RandomPurpose::subspace, 4}), std::invalid_argument);
  });
}

TEST_CASE("new rows are made orthonormal without a change of what all rows span", "[subspace]") {
  on_each_backend([](Backend& backend) {
    Learner learner(backend, inputs, 5, fresh_rows);
    const auto x = uploaded(backend, random_values(few * inputs, 1, 0.0F, 2.0F));
    for (int batch = 0; batch < 5; ++batch) learner.learn(x, few);
    const Table learned = learner.rows();
    CHECK(orthonormality_error(learned) > 1e-3);
    learner.subspace.orthonormalise_new_rows();
    const Table h = learner.rows();
    CHECK(orthonormality_error(h) < 1e-6);
    CHECK(sine_of_angles(learned, h) < 1e-3);
    CHECK(part(h, 0, 5).values == part(learned, 0, 5).values);
  });
}

TEST_CASE("the extractor is made by name", "[lateral_hebbian]") {
  const auto backend = make_backend("reference", 1);
  LinearNeurons neurons;
  CHECK(dynamic_cast<LateralHebbian*>(extractors().make("lateral_hebbian", *backend, neurons, {}).get()) !=
        nullptr);
  CHECK_THROWS_AS(extractors().make("abacus", *backend, neurons, {}), ConfigError);
}

}  // namespace orthospike::testing
