#include "learning/boundary_detector.hpp"

#include <memory>

#include "tests/conformance/backends.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {
namespace {

constexpr std::size_t n = 40, rank = 6;
const BoundarySettings usual{.neurons = 12, .lambda = 0.1F, .smoothing = 4, .threshold = 6, .distance = 15};

/// Batches whose rows lie in a few directions of each task's own, and with strength `other` in those of the next.
struct Batches {
  std::vector<float> next(std::size_t task, std::size_t rows = 32, float other = 0) {
    const std::vector<float> strength = random_values(rows * 2 * rank, ++drawn);
    std::vector<float> x(rows * n, 0.0F);
    for (std::size_t k = 0; k < 2 * rank; ++k) {
      const auto seed = static_cast<unsigned>(100 + rank * task + k);
      const std::vector<float> direction = random_values(n, seed);
      for (std::size_t r = 0; r < rows; ++r) {
        const float along = (k < rank ? 1.0F : other) * strength[r * 2 * rank + k];
        for (std::size_t i = 0; i < n; ++i) x[r * n + i] += along * direction[i];
      }
    }
    return x;
  }
  unsigned drawn = 1000;
};

bool begins(Backend& backend, BoundaryDetector& detector, const std::vector<float>& x) {
  return detector.begins_with(uploaded(backend, x).matrix(x.size() / n, n));
}

}  // namespace

TEST_CASE("a boundary is suspected with the first batch of a task and with no other", "[boundaries]") {
  on_each_backend([](Backend& backend) {
    BoundaryDetector detector(backend, n, 32, 2022, usual);
    Batches batches;
    for (std::size_t task = 0; task < 3; ++task) {
      for (std::size_t i = 0; i < 60; ++i) {
        INFO("task " << task << ", batch " << i);
        // Some batches are short, as the last of an epoch is.
        CHECK(begins(backend, detector, batches.next(task, i % 7 == 6 ? 5 : 32)) == (task > 0 && i == 0));
      }
    }
  });
}

TEST_CASE("boundaries keep their distance", "[boundaries]") {
  const auto backend = make_backend("cpu", 1);
  for (const std::size_t distance : {8, 9}) {
    BoundarySettings settings = usual;
    settings.distance = distance;
    BoundaryDetector detector(*backend, n, 32, 2022, settings);
    Batches batches;
    for (std::size_t i = 0; i < 60; ++i) CHECK_FALSE(begins(*backend, detector, batches.next(0)));
    for (std::size_t i = 0; i < 8; ++i) CHECK(begins(*backend, detector, batches.next(1)) == (i == 0));
    CHECK(begins(*backend, detector, batches.next(2)) == (distance == 8));
  }
}

TEST_CASE("a longer fast average finds a change that rises slowly, a higher threshold none", "[boundaries]") {
  const auto backend = make_backend("cpu", 1);
  const auto found = [&](std::size_t smoothing, float threshold) {
    BoundarySettings settings = usual;
    settings.smoothing = smoothing;
    settings.threshold = threshold;
    BoundaryDetector detector(*backend, n, 32, 2022, settings);
    Batches batches;
    for (std::size_t i = 0; i < 60; ++i) CHECK_FALSE(begins(*backend, detector, batches.next(0)));
    for (std::size_t i = 0; i < 200; ++i) {
      if (begins(*backend, detector, batches.next(0, 32, static_cast<float>(i) / 200))) return i;
    }
    return std::size_t{200};
  };
  CHECK(found(8, 6) < 60);
  CHECK(found(1, 6) == 200);
  CHECK(found(8, 12) == 200);
}

TEST_CASE("a detector that goes on from what it saved finds what one without interruption does",
          "[boundaries]") {
  const auto backend = make_backend("cpu", 1);
  BoundarySettings settings = usual;
  settings.smoothing = 8;  // a slow rise is found by what several batches add to the fast average
  const TemporaryFolder folder;
  const auto found = [&](bool interrupted) {
    auto detector = std::make_unique<BoundaryDetector>(*backend, n, 32, 2022, settings);
    Batches batches;
    std::vector<std::size_t> boundaries;
    for (std::size_t i = 0; i < 120; ++i) {
      const float other = i < 60 ? 0 : static_cast<float>(i - 60) / 200;
      if (begins(*backend, *detector, batches.next(0, 32, other))) boundaries.push_back(i);
      if (!interrupted) continue;
      Hdf5File file = Hdf5File::create(folder.path() / "state.partial");
      StateWriter save(*backend, file);
      detector->state(save);
      file.close_as(folder.path() / "state.h5");
      detector = std::make_unique<BoundaryDetector>(*backend, n, 32, 2022, settings);
      const Hdf5File saved = Hdf5File::open(folder.path() / "state.h5");
      StateReader load(*backend, saved);
      detector->state(load);
    }
    return boundaries;
  };
  const std::vector<std::size_t> expected = found(false);
  CHECK_FALSE(expected.empty());
  CHECK(found(true) == expected);
}

TEST_CASE("a silent batch is no boundary and does not count", "[boundaries]") {
  const auto backend = make_backend("cpu", 1);
  BoundaryDetector detector(*backend, n, 32, 2022, usual);
  Batches batches;
  for (std::size_t i = 0; i < 60; ++i) {
    CHECK_FALSE(begins(*backend, detector, batches.next(0)));
    CHECK_FALSE(begins(*backend, detector, std::vector<float>(32 * n, 0.0F)));
  }
  CHECK(begins(*backend, detector, batches.next(1)));
}

}  // namespace orthospike::testing
