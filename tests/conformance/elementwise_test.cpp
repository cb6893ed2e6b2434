#include <stdexcept>
#include <vector>

#include "kernels/elementwise.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {

TEST_CASE("add agrees with the reference", "[conformance][elementwise]") {
  for (const std::size_t size : {0U, 1U, 67U, 50021U}) {
    INFO(size << " elements");
    check_conformance([&](Backend& backend) {
      const auto x = uploaded(backend, random_values(size, 1));
      auto y = uploaded(backend, random_values(size, 2));
      backend.elementwise().run(Add{.alpha = -0.3F, .x = x.view(), .beta = 0.9F, .y = y.view()});
      auto plain = uploaded(backend, random_values(size, 3));
      backend.elementwise().run(Add{.x = x.view(), .y = plain.view()});
      return Outcome{{"scaled", about(downloaded(backend, y), 1e-6)},
                     {"plain", about(downloaded(backend, plain), 1e-6)}};
    });
  }
}

TEST_CASE("raise_to agrees with the reference", "[conformance][elementwise]") {
  for (const std::size_t size : {0U, 1U, 67U, 50021U}) {
    INFO(size << " elements");
    check_conformance([&](Backend& backend) {
      std::vector<float> values = random_values(size, 1);
      if (size > 3) values[2] = 0.25F;  // the bound itself
      auto raised = uploaded(backend, values);
      backend.elementwise().run(RaiseTo{.bound = 0.25F, .values = raised.view()});
      return Outcome{{"raised", exactly(downloaded(backend, raised))}};
    });
  }
}

TEST_CASE("sign agrees with the reference", "[conformance][elementwise]") {
  for (const std::size_t size : {0U, 1U, 131U, 50021U}) {
    check_conformance([&](Backend& backend) {
      std::vector<float> values = random_values(size, 1);
      if (size > 0) values[size / 2] = 0.0F;
      const auto x = uploaded(backend, values);
      auto y = uploaded(backend, std::vector<float>(size, not_a_number));
      backend.elementwise().run(Sign{.scale = 0.25F, .x = x.view(), .y = y.view()});
      return Outcome{{"y", exactly(downloaded(backend, y))}};
    });
  }
}

TEST_CASE("modulate agrees with the reference", "[conformance][elementwise]") {
  struct Shape {
    std::size_t rows, n;
  };
  for (const Shape& s : {Shape{1, 1}, {18, 131}, {1340, 131}, {18, 1100}, {0, 5}}) {
    INFO(s.rows << " rows of " << s.n);
    for (const std::size_t cols : {s.n, std::size_t{1}}) {
      check_conformance([&](Backend& backend) {
        const auto factor = uploaded(backend, random_values(s.rows * cols, 1));
        auto x = uploaded(backend, random_values(s.rows * s.n, 2));
        backend.elementwise().run(
            Modulate{.factor = factor.matrix(s.rows, cols), .x = x.matrix(s.rows, s.n)});
        return Outcome{{"x", exactly(downloaded(backend, x))}};
      });
    }
  }
}

TEST_CASE("modulate multiplies by elements or by rows", "[conformance][elementwise]") {
  on_each_backend([](Backend& backend) {
    const auto factor = uploaded(backend, std::vector<float>{2, -1, 0, 4});
    auto by_elements = uploaded(backend, std::vector<float>{1, 2, 3, 5});
    backend.elementwise().run(Modulate{.factor = factor.matrix(2, 2), .x = by_elements.matrix(2, 2)});
    CHECK(downloaded(backend, by_elements) == std::vector<float>{2, -2, 0, 20});
    auto by_rows = uploaded(backend, std::vector<float>{1, 2, 3, 5});
    backend.elementwise().run(
        Modulate{.factor = factor.matrix(4, 1).first_rows(2), .x = by_rows.matrix(2, 2)});
    CHECK(downloaded(backend, by_rows) == std::vector<float>{2, 4, -3, -5});
    CHECK_THROWS_AS(
        backend.elementwise().run(Modulate{.factor = factor.matrix(1, 2), .x = by_rows.matrix(2, 2)}),
        std::invalid_argument);
  });
}

TEST_CASE("normalise rows agrees with the reference", "[conformance][elementwise]") {
  for (const auto& [rows, n] : {std::pair<std::size_t, std::size_t>{1, 1}, {3, 131}, {67, 35}, {301, 67}}) {
    for (const float size : {1.0F, 1e-25F, 1e20F}) {
      check_conformance([&, rows = rows, n = n](Backend& backend) {
        const auto x = uploaded(backend, random_values(rows * n, 1, -size, size));
        auto y = uploaded(backend, std::vector<float>(rows * n, not_a_number));
        backend.elementwise().run(NormaliseRows{.x = x.matrix(rows, n), .y = y.matrix(rows, n)});
        return Outcome{{"y", about(downloaded(backend, y), 1e-6)}};
      });
    }
  }
}

TEST_CASE("normalised rows have norm 1, those of zeros stay", "[conformance][elementwise]") {
  on_each_backend([](Backend& backend) {
    auto x = uploaded(backend, std::vector<float>{3, 0, 4, 0, 0, 0, 0, -2, 0});
    backend.elementwise().run(NormaliseRows{.x = x.matrix(3, 3), .y = x.matrix(3, 3)});
    CHECK(downloaded(backend, x) == std::vector<float>{0.6F, 0, 0.8F, 0, 0, 0, 0, -1, 0});
  });
}

}  // namespace orthospike::testing
