#include <vector>

#include "kernels/dense.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

struct Product {
  std::size_t rows, cols, inner;
};

constexpr bool both[] = {false, true};

/// A factor whose op(·) is [rows × cols].
ConstMatrix factor(const Array<float>& values, bool transpose, std::size_t rows, std::size_t cols) {
  return transpose ? values.matrix(cols, rows) : values.matrix(rows, cols);
}

}  // namespace

TEST_CASE("multiply agrees with the reference", "[conformance][dense]") {
  // Edge cases; then results cut into a few strips and into many, across rows and across columns.
  for (const Product& p : {Product{1, 1, 1},
                           {1, 131, 67},
                           {67, 1, 131},
                           {67, 131, 1},
                           {1, 1, 300},
                           {67, 131, 35},
                           {131, 67, 259},
                           {67, 131, 259},
                           {331, 197, 211},
                           {197, 331, 211}}) {
    for (const bool transpose_a : both) {
      for (const bool transpose_b : both) {
        INFO(p.rows << " × " << p.cols << " over " << p.inner << ", transposed: " << transpose_a
                    << transpose_b);
        check_conformance([&](Backend& backend) {
          const auto a = uploaded(backend, random_values(p.rows * p.inner, 1));
          const auto b = uploaded(backend, random_values(p.inner * p.cols, 2));
          auto c = uploaded(backend, random_values(p.rows * p.cols, 3));
          auto overwritten = uploaded(backend, std::vector<float>(p.rows * p.cols, not_a_number));
          const ConstMatrix left = factor(a, transpose_a, p.rows, p.inner);
          const ConstMatrix right = factor(b, transpose_b, p.inner, p.cols);
          backend.dense().run(Multiply{.alpha = 0.75F,
                                       .a = left,
                                       .transpose_a = transpose_a,
                                       .b = right,
                                       .transpose_b = transpose_b,
                                       .beta = -0.5F,
                                       .c = c.matrix(p.rows, p.cols)});
          backend.dense().run(Multiply{.a = left,
                                       .transpose_a = transpose_a,
                                       .b = right,
                                       .transpose_b = transpose_b,
                                       .c = overwritten.matrix(p.rows, p.cols)});
          return Outcome{{"added", about(downloaded(backend, c), 2e-6)},
                         {"overwritten", about(downloaded(backend, overwritten), 2e-6)}};
        });
      }
    }
  }
}

TEST_CASE("multiply adds a matrix that is not the result", "[conformance][dense]") {
  for (const Product& p : {Product{1, 1, 1}, {67, 131, 35}, {131, 67, 259}, {67, 331, 259}}) {
    INFO(p.rows << " × " << p.cols << " over " << p.inner);
    check_conformance([&](Backend& backend) {
      const auto a = uploaded(backend, random_values(p.rows * p.inner, 1));
      const auto b = uploaded(backend, random_values(p.inner * p.cols, 2));
      const auto addend = uploaded(backend, random_values(p.rows * p.cols, 3));
      const auto no_numbers = uploaded(backend, std::vector<float>(p.rows * p.cols, not_a_number));
      auto c = uploaded(backend, std::vector<float>(p.rows * p.cols, not_a_number));
      auto overwritten = uploaded(backend, std::vector<float>(p.rows * p.cols, not_a_number));
      const ConstMatrix left = a.matrix(p.rows, p.inner);
      const ConstMatrix right = b.matrix(p.inner, p.cols);
      backend.dense().run(Multiply{.alpha = -1.0F,
                                   .a = left,
                                   .b = right,
                                   .beta = 0.5F,
                                   .addend = addend.matrix(p.rows, p.cols),
                                   .c = c.matrix(p.rows, p.cols)});
      backend.dense().run(Multiply{.alpha = -1.0F,
                                   .a = left,
                                   .b = right,
                                   .addend = no_numbers.matrix(p.rows, p.cols),
                                   .c = overwritten.matrix(p.rows, p.cols)});
      return Outcome{{"added", about(downloaded(backend, c), 2e-6)},
                     {"addend", exactly(downloaded(backend, addend))},
                     {"overwritten", about(downloaded(backend, overwritten), 2e-6)}};
    });
  }
}

TEST_CASE("a product over nothing leaves beta times the addend", "[conformance][dense]") {
  for (const bool transpose_a : both) {
    for (const bool transpose_b : both) {
      INFO("transposed: " << transpose_a << transpose_b);
      check_conformance([&](Backend& backend) {
        const Array<float> nothing = backend.allocate<float>(0);
        auto c = uploaded(backend, random_values(67 * 35, 3));
        auto overwritten = uploaded(backend, std::vector<float>(67 * 35, not_a_number));
        const ConstMatrix left = factor(nothing, transpose_a, 67, 0);
        const ConstMatrix right = factor(nothing, transpose_b, 0, 35);
        backend.dense().run(Multiply{.a = left,
                                     .transpose_a = transpose_a,
                                     .b = right,
                                     .transpose_b = transpose_b,
                                     .beta = 0.5F,
                                     .c = c.matrix(67, 35)});
        backend.dense().run(Multiply{.a = left,
                                     .transpose_a = transpose_a,
                                     .b = right,
                                     .transpose_b = transpose_b,
                                     .c = overwritten.matrix(67, 35)});
        return Outcome{{"halved", about(downloaded(backend, c), 1e-7)},
                       {"zeroed", exactly(downloaded(backend, overwritten))}};
      });
    }
  }
}

TEST_CASE("multiply with no result does nothing", "[conformance][dense]") {
  on_each_backend([](Backend& backend) {
    Array<float> nothing = backend.allocate<float>(0);
    const auto b = uploaded(backend, random_values(5 * 3, 1));
    backend.dense().run(
        Multiply{.a = nothing.matrix(0, 5), .b = b.matrix(5, 3), .beta = 1.0F, .c = nothing.matrix(0, 3)});
    backend.synchronise();
  });
}

TEST_CASE("add moment agrees with the reference in the lower triangle", "[conformance][dense]") {
  const auto lower = [](Backend& backend, const Array<float>& sum, std::size_t n) {
    const std::vector<float> values = downloaded(backend, sum);
    std::vector<float> triangle;
    for (std::size_t i = 0; i < n; ++i)
      triangle.insert(triangle.end(), &values[i * n], &values[i * n] + i + 1);
    return triangle;
  };
  for (const auto& [rows, n] :
       {std::pair<std::size_t, std::size_t>{1, 1}, {0, 5}, {5, 3}, {67, 95}, {67, 131}, {131, 301}}) {
    INFO(rows << " rows of " << n);
    check_conformance([&, rows = rows, n = n](Backend& backend) {
      const auto x = uploaded(backend, random_values(rows * n, 1));
      auto sum = uploaded(backend, random_values(n * n, 2));
      auto overwritten = uploaded(backend, std::vector<float>(n * n, not_a_number));
      backend.dense().run(
          AddMoment{.alpha = 0.75F, .x = x.matrix(rows, n), .beta = -0.5F, .sum = sum.matrix(n, n)});
      backend.dense().run(AddMoment{.x = x.matrix(rows, n), .sum = overwritten.matrix(n, n)});
      return Outcome{{"sum", about(lower(backend, sum, n), 2e-6)},
                     {"overwritten", about(lower(backend, overwritten, n), 2e-6)}};
    });
  }
}

TEST_CASE("mirror_lower makes a matrix symmetric by its lower triangle", "[conformance][dense]") {
  for (const std::size_t n : {1U, 2U, 63U, 64U, 131U, 300U}) {
    INFO("n " << n);
    std::vector<float> before = random_values(n * n, 1), expected = before;
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = i + 1; j < n; ++j) {
        before[i * n + j] = not_a_number;
        expected[i * n + j] = expected[j * n + i];
      }
    }
    on_each_backend([&](Backend& backend) {
      auto matrix = uploaded(backend, before);
      backend.dense().run(MirrorLower{.matrix = matrix.matrix(n, n)});
      CHECK(downloaded(backend, matrix) == expected);
    });
  }
}

TEST_CASE("transpose agrees with the reference", "[conformance][dense]") {
  for (const auto& [rows, cols] :
       {std::pair<std::size_t, std::size_t>{1, 1}, {3, 131}, {131, 3}, {301, 67}}) {
    check_conformance([rows = rows, cols = cols](Backend& backend) {
      const auto a = uploaded(backend, random_values(rows * cols, 1));
      auto b = uploaded(backend, std::vector<float>(rows * cols, not_a_number));
      backend.dense().run(Transpose{.a = a.matrix(rows, cols), .b = b.matrix(cols, rows)});
      return Outcome{{"b", exactly(downloaded(backend, b))}};
    });
  }
  on_each_backend([](Backend& backend) {
    const auto a = uploaded(backend, std::vector<float>{1, 2, 3, 4, 5, 6});
    auto b = backend.allocate<float>(6);
    backend.dense().run(Transpose{.a = a.matrix(2, 3), .b = b.matrix(3, 2)});
    CHECK(downloaded(backend, b) == std::vector<float>{1, 4, 2, 5, 3, 6});
  });
}

}  // namespace orthospike::testing
