#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/encoding.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {
namespace {

struct Shape {
  std::size_t images, samples, pixels;
};

std::vector<std::uint32_t> random_numbers(std::size_t count, std::uint32_t bound, std::uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<std::uint32_t> numbers(count);
  for (std::uint32_t& number : numbers) number = static_cast<std::uint32_t>(generator() % bound);
  return numbers;
}

}  // namespace

TEST_CASE("encode_images agrees with the reference", "[conformance][encoding]") {
  for (const Shape& s : {Shape{1, 1, 1}, {5, 67, 131}, {67, 1, 131}, {5, 67, 1}, {3, 0, 131}}) {
    INFO(s.images << " images, " << s.samples << " samples, " << s.pixels << " pixels");
    check_conformance([&](Backend& backend) {
      std::vector<std::uint8_t> bytes;
      for (const std::uint32_t number : random_numbers(s.images * s.pixels, 256, 1)) {
        bytes.push_back(static_cast<std::uint8_t>(number));
      }
      bytes.front() = 0;
      bytes.back() = 255;
      // Samples repeat and come in any order, and so may pixels.
      auto pixel_order = random_numbers(s.pixels, static_cast<std::uint32_t>(s.pixels), 2);
      const auto images = uploaded(backend, bytes);
      const auto samples =
          uploaded(backend, random_numbers(s.samples, static_cast<std::uint32_t>(s.images), 3));
      const auto order = uploaded(backend, pixel_order);
      Array<float> currents = backend.allocate<float>(s.samples * s.pixels);
      backend.encoding().run(EncodeImages{.images = images.view(),
                                          .samples = samples.view(),
                                          .pixel_order = order.view(),
                                          .mean = 0.1307F,
                                          .deviation = 0.3081F,
                                          .currents = currents.matrix(s.samples, s.pixels)});
      return Outcome{{"currents", about(downloaded(backend, currents), 1e-6)}};
    });
  }
}

}  // namespace orthospike::testing
