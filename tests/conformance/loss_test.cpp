#include <numeric>
#include <vector>

#include "kernels/loss.hpp"
#include "tests/conformance/backends.hpp"
#include "tests/targets.hpp"

namespace orthospike::testing {
namespace {

struct Shape {
  std::size_t batch, classes;
  std::size_t steps = 1;
  float weight = 1.0F;
};

Outcome run(Backend& backend, const Shape& s, const std::vector<float>& logits,
            const std::vector<Target>& targets) {
  const auto scores = uploaded(backend, logits);
  const auto sought = uploaded(backend, targets);
  auto gradient = uploaded(backend, std::vector<float>(s.steps * s.batch * s.classes, not_a_number));
  // Both go on from what is there.
  auto loss = uploaded(backend, std::vector<double>{3.0});
  auto correct = uploaded(backend, std::vector<std::uint32_t>{7});
  backend.loss().run(CrossEntropy{.logits = scores.matrix(s.steps * s.batch, s.classes),
                                  .targets = sought.view(),
                                  .weight = s.weight,
                                  .logit_gradient = gradient.matrix(s.steps * s.batch, s.classes),
                                  .loss = loss.view(),
                                  .correct = correct.view()});
  Outcome outcome{{"gradient", about(downloaded(backend, gradient), 2e-6)},
                  {"loss", about(downloaded(backend, loss), 1e-6)},
                  {"correct", exactly(downloaded(backend, correct))}};
  if (s.steps == 1) {
    auto right = uploaded(backend, std::vector<float>(s.batch, not_a_number));
    backend.loss().run(MarkCorrect{
        .logits = scores.matrix(s.batch, s.classes), .targets = sought.view(), .right = right.view()});
    const std::vector<float> marks = downloaded(backend, right);
    CHECK(std::accumulate(marks.begin(), marks.end(), 7.0F) == outcome.at("correct").values[0]);
    outcome.emplace("right", exactly(marks));
  }
  return outcome;
}

}  // namespace

TEST_CASE("only the logits of the target's head take part", "[conformance][loss]") {
  constexpr std::size_t classes = 131;
  const std::vector<Target> targets = {{0, 0, 0},   {130, 130, 130}, {40, 7, 41},  {7, 7, 41},
                                       {41, 7, 41}, {64, 33, 96},    {50, 0, 130}, {33, 32, 33}};
  const Shape s{targets.size(), classes};
  std::vector<float> logits = random_values(targets.size() * classes, 1);
  logits[2 * classes + 42] = logits[3 * classes + 6] = not_a_number;  // elsewhere, and so of no matter
  logits[5 * classes + 64] = 3;
  logits[5 * classes + 97] = 9;
  const auto runs = [&](Backend& backend) { return run(backend, s, logits, targets); };
  check_conformance(runs);
  on_each_backend([&](Backend& backend) {
    const Outcome all = runs(backend);
    double loss = 3, correct = 7;
    for (std::size_t b = 0; b < targets.size(); ++b) {
      const auto [label, first, last] = targets[b];
      const auto row = logits.begin() + static_cast<std::ptrdiff_t>(b * classes);
      const std::size_t width = last - first + std::size_t{1};
      const Outcome alone =
          run(backend, {1, width}, {row + first, row + last + 1}, among_all<int>({label - first}, width));
      loss += alone.at("loss").values[0] - 3;
      correct += alone.at("correct").values[0] - 7;
      for (std::size_t c = 0; c < classes; ++c) {
        const double expected = c < first || c > last ? 0.0
                                                      : alone.at("gradient").values[c - first] /
                                                            static_cast<double>(targets.size());
        CHECK(all.at("gradient").values[b * classes + c] == Approx(expected).margin(1e-7));
      }
    }
    CHECK(all.at("loss").values[0] == Approx(loss).epsilon(1e-6));
    CHECK(all.at("correct").values[0] == correct);
    CHECK(correct >= 7 + 3);  // heads of one logit are right, and the sixth
  });
}

TEST_CASE("cross_entropy agrees with the reference", "[conformance][loss]") {
  for (const Shape& s : {Shape{1, 1}, {1, 131}, {67, 1}, {67, 10}, {67, 131}}) {
    for (const float spread : {1.0F, 30.0F, 1e4F}) {
      INFO(s.batch << " samples, " << s.classes << " classes, logits to " << spread);
      std::vector<std::size_t> labels;
      for (std::size_t b = 0; b < s.batch; ++b) labels.push_back(b * 7 % s.classes);
      const std::vector<Target> targets = among_all(labels, s.classes);
      const std::vector<float> logits = random_values(s.batch * s.classes, 1, -spread, spread);
      check_conformance([&](Backend& backend) { return run(backend, s, logits, targets); });
    }
  }
}

TEST_CASE("the loss of several steps is the mean of theirs, times its weight", "[conformance][loss]") {
  const std::vector<Target> targets = {{2, 0, 4}, {3, 1, 3}};
  const std::vector<float> logits = random_values(3 * 2 * 5, 1);
  const Shape steps{.batch = 2, .classes = 5, .steps = 3, .weight = 0.5F};
  const auto all = [&](Backend& backend) { return run(backend, steps, logits, targets); };
  check_conformance(all);
  on_each_backend([&](Backend& backend) {
    const Outcome together = all(backend);
    double loss = 3.0;
    for (std::size_t t = 0; t < 3; ++t) {
      const auto first = logits.begin() + static_cast<std::ptrdiff_t>(t * 10);
      const Outcome step = run(backend, {2, 5}, {first, first + 10}, targets);
      loss += 0.5 / 3.0 * (step.at("loss").values[0] - 3.0);
      for (std::size_t i = 0; i < 10; ++i) {
        CHECK(together.at("gradient").values[t * 10 + i] ==
              Approx(0.5 / 3.0 * step.at("gradient").values[i]).margin(1e-7));
      }
    }
    CHECK(together.at("loss").values[0] == Approx(loss));
  });
}

TEST_CASE("of equal logits the first counts as largest", "[conformance][loss]") {
  const Shape s{3, 35};
  std::vector<float> logits(3 * 35, 0.0F);
  logits[0 * 35 + 4] = logits[0 * 35 + 33] = 1.0F;  // labelled 4: correct
  logits[1 * 35 + 4] = logits[1 * 35 + 33] = 1.0F;  // labelled 33: not
  const auto runs = [&](Backend& backend) {         // the last row: all equal, labelled 0: correct
    return run(backend, s, logits, among_all<int>({4, 33, 0}, 35));
  };
  CHECK(runs(*make_backend("reference", 1)).at("correct").values[0] == 7 + 2);
  check_conformance(runs);
}

TEST_CASE("a sample with a NaN logit is never correct", "[conformance][loss]") {
  // A NaN before the largest, at it, after it, at the label and everywhere; then a row without.
  const Shape s{6, 35};
  std::vector<float> logits = random_values(6 * 35, 1);
  for (std::size_t row = 0; row < 6; ++row) logits[row * 35 + 17] = 5.0F;
  logits[0 * 35 + 0] = not_a_number;
  logits[1 * 35 + 17] = not_a_number;
  logits[2 * 35 + 34] = not_a_number;
  logits[3 * 35 + 5] = not_a_number;
  for (std::size_t c = 0; c < 35; ++c) logits[4 * 35 + c] = not_a_number;
  const auto runs = [&](Backend& backend) {
    return run(backend, s, logits, among_all<int>({17, 17, 17, 5, 0, 17}, 35));
  };
  const Outcome reference = runs(*make_backend("reference", 1));
  CHECK(reference.at("correct").values[0] == 7 + 1);
  CHECK(std::isnan(reference.at("loss").values[0]));
  check_conformance(runs);
}

}  // namespace orthospike::testing
