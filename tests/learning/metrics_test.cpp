#include "learning/metrics.hpp"

#include <cmath>

#include "tests/catch.hpp"

namespace orthospike {
namespace {

/// Three tasks with numbers that can be checked by hand; task 1 gets better before it gets worse.
AccuracyMatrix example() {
  AccuracyMatrix accuracy(3);
  const double rows[4][3] = {{0.1, 0.2, 0.1}, {0.8, 0.3, 0.1}, {0.9, 0.7, 0.2}, {0.6, 0.5, 0.9}};
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t j = 1; j <= 3; ++j) accuracy.at(i, j) = rows[i][j - 1];
  }
  return accuracy;
}

TEST_CASE("measures of a hand-checked accuracy matrix") {
  const AccuracyMatrix accuracy = example();
  CHECK(accuracy.average_accuracy(3) == Approx((0.6 + 0.5 + 0.9) / 3));
  CHECK(accuracy.backward_transfer(3) == Approx(((0.6 - 0.8) + (0.5 - 0.7)) / 2));
  CHECK(accuracy.forward_transfer(3) == Approx(((0.3 - 0.2) + (0.2 - 0.1)) / 2));
  CHECK(accuracy.forgetting(3, 1) == Approx(0.9 - 0.6));
  CHECK(accuracy.forgetting(3, 2) == Approx(0.7 - 0.5));
  CHECK(accuracy.mean_forgetting(3) == Approx((0.3 + 0.2) / 2));
  CHECK(accuracy.learning_accuracy(3) == Approx((0.8 + 0.7 + 0.9) / 3));
}

TEST_CASE("measures after fewer tasks look at the rows so far only") {
  const AccuracyMatrix accuracy = example();
  CHECK(accuracy.average_accuracy(2) == Approx(0.8));
  CHECK(accuracy.backward_transfer(2) == Approx(0.1));
  CHECK(accuracy.forgetting(2, 1) == Approx(-0.1));
}

TEST_CASE("intransigence compares what was learned with joint training") {
  AccuracyMatrix joint(3);
  for (std::size_t j = 1; j <= 3; ++j) joint.at(3, j) = 0.95;
  const AccuracyMatrix accuracy = example();
  CHECK(accuracy.intransigence(joint, 2) == Approx(0.95 - 0.7));
  CHECK(accuracy.mean_intransigence(joint) == Approx(0.95 - (0.8 + 0.7 + 0.9) / 3));
  CHECK(joint.average_accuracy(3) == Approx(0.95));
  for (const double undefined :
       {joint.backward_transfer(3), joint.forward_transfer(3), joint.mean_forgetting(3),
        joint.learning_accuracy(3), joint.mean_intransigence(accuracy)}) {
    CHECK(std::isnan(undefined));
  }
}

TEST_CASE("what is not defined or not evaluated is NaN") {
  const AccuracyMatrix accuracy = example();
  CHECK(std::isnan(accuracy.backward_transfer(1)));
  CHECK(std::isnan(accuracy.forward_transfer(1)));
  CHECK(std::isnan(accuracy.mean_forgetting(1)));
  CHECK(std::isnan(accuracy.forgetting(2, 2)));
  CHECK(std::isnan(AccuracyMatrix(2).average_accuracy(1)));
}

}  // namespace
}  // namespace orthospike
