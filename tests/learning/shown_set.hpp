#pragma once

#include <string>
#include <vector>

#include "datasets/data_set.hpp"
#include "learning/trainer.hpp"
#include "tests/conformance/backends.hpp"
#include "tests/targets.hpp"

namespace orthospike::testing {

/// The 8 × 8 digits of the tests.
inline const ImageData& digit_images() {
  static const ImageData data = read_image_data(ORTHOSPIKE_TEST_DATA "/optdigits", {});
  return data;
}

/// The first images of a set in a back end's memory, with what trains on them and all classes as one head.
struct ShownSet {
  /// first: how many, 0 for all.
  ShownSet(Backend& back_end, const ImageSet& set, std::size_t first)
      : backend(back_end),
        count(first == 0 ? set.count : first),
        answers(among_all(set.labels, set.classes)) {
    pixels = uploaded(backend, std::vector(set.pixels.begin(),
                                           set.pixels.begin() +
                                               static_cast<std::ptrdiff_t>(count * set.pixels_per_image())));
  }

  ShownImages in(View<const std::uint32_t> pixel_order) const { return {pixels.view(), pixel_order}; }

  Array<Target> targets(View<const std::uint32_t> samples) const {
    std::vector<Target> result;
    for (const std::uint32_t sample : backend.download(samples)) result.push_back(answers[sample]);
    return uploaded(backend, result);
  }

  void train(Trainer& trainer, View<const std::uint32_t> samples, const std::vector<Share>& shares,
             View<double> loss, View<std::uint32_t> correct) const {
    const Array<Target> sought = targets(samples);
    trainer.train_batch({.samples = samples, .targets = sought.view(), .shares = shares}, loss, correct);
  }
  void train(Trainer& trainer, View<const std::uint32_t> samples, View<const std::uint32_t> pixel_order,
             View<double> loss, View<std::uint32_t> correct) const {
    train(trainer, samples, {{samples.size(), in(pixel_order)}}, loss, correct);
  }

  Backend& backend;
  std::size_t count;
  std::vector<Target> answers;  ///< of every image of the set
  Array<std::uint8_t> pixels;
};

}  // namespace orthospike::testing
