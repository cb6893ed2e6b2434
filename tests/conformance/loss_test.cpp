#include <numeric>
#include <vector>

#include "kernels/loss.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

struct Shape {
  std::size_t batch, classes;
  std::size_t steps = 1;
  float weight = 1.0F;
};

Outcome run(Backend& backend, const Shape& s, const std::vector<float>& logits,
            const std::vector<std::uint8_t>& labels, const std::vector<std::uint32_t>& samples) {
  const auto scores = uploaded(backend, logits);
  const auto all_labels = uploaded(backend, labels);
  const auto numbers = uploaded(backend, samples);
  auto gradient = uploaded(backend, std::vector<float>(s.steps * s.batch * s.classes, not_a_number));
  // Both go on from what is there.
  auto loss = uploaded(backend, std::vector<double>{3.0});
  auto correct = uploaded(backend, std::vector<std::uint32_t>{7});
  backend.loss().run(CrossEntropy{.logits = scores.matrix(s.steps * s.batch, s.classes),
                                  .labels = all_labels.view(),
                                  .samples = numbers.view(),
                                  .weight = s.weight,
                                  .logit_gradient = gradient.matrix(s.steps * s.batch, s.classes),
                                  .loss = loss.view(),
                                  .correct = correct.view()});
  Outcome outcome{{"gradient", about(downloaded(backend, gradient), 2e-6)},
                  {"loss", about(downloaded(backend, loss), 1e-6)},
                  {"correct", exactly(downloaded(backend, correct))}};
  if (s.steps == 1) {
    auto right = uploaded(backend, std::vector<float>(s.batch, not_a_number));
    backend.loss().run(MarkCorrect{.logits = scores.matrix(s.batch, s.classes),
                                   .labels = all_labels.view(),
                                   .samples = numbers.view(),
                                   .right = right.view()});
    const std::vector<float> marks = downloaded(backend, right);
    CHECK(std::accumulate(marks.begin(), marks.end(), 7.0F) == outcome.at("correct").values[0]);
    outcome.emplace("right", exactly(marks));
  }
  return outcome;
}

}  // namespace

TEST_CASE("cross_entropy agrees with the reference", "[conformance][loss]") {
  for (const Shape& s : {Shape{1, 1}, {1, 131}, {67, 1}, {67, 10}, {67, 131}}) {
    for (const float spread : {1.0F, 30.0F, 1e4F}) {
      INFO(s.batch << " samples, " << s.classes << " classes, logits to " << spread);
      std::vector<std::uint8_t> labels;
      std::vector<std::uint32_t> samples;
      for (std::size_t i = 0; i < s.batch + 40; ++i)
        labels.push_back(static_cast<std::uint8_t>(i * 7 % s.classes));
      for (std::size_t b = 0; b < s.batch; ++b)
        samples.push_back(static_cast<std::uint32_t>(b * 29 % (s.batch + 40)));
      const std::vector<float> logits = random_values(s.batch * s.classes, 1, -spread, spread);
      check_conformance([&](Backend& backend) { return run(backend, s, logits, labels, samples); });
    }
  }
}

TEST_CASE("the loss of several steps is the mean of theirs, times its weight", "[conformance][loss]") {
  const std::vector<std::uint8_t> labels = {3, 0, 2};
  const std::vector<std::uint32_t> samples = {2, 0};
  const std::vector<float> logits = random_values(3 * 2 * 5, 1);
  const Shape steps{.batch = 2, .classes = 5, .steps = 3, .weight = 0.5F};
  const auto all = [&](Backend& backend) { return run(backend, steps, logits, labels, samples); };
  check_conformance(all);
  on_each_backend([&](Backend& backend) {
    const Outcome together = all(backend);
    double loss = 3.0;
    for (std::size_t t = 0; t < 3; ++t) {
      const auto first = logits.begin() + static_cast<std::ptrdiff_t>(t * 10);
      const Outcome step = run(backend, {2, 5}, {first, first + 10}, labels, samples);
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
    return run(backend, s, logits, {4, 33, 0}, {0, 1, 2});
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
    return run(backend, s, logits, {17, 17, 17, 5, 0, 17}, {0, 1, 2, 3, 4, 5});
  };
  const Outcome reference = runs(*make_backend("reference", 1));
  CHECK(reference.at("correct").values[0] == 7 + 1);
  CHECK(std::isnan(reference.at("loss").values[0]));
  check_conformance(runs);
}

}  // namespace orthospike::testing
