#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "datasets/rendering.hpp"

namespace orthospike {

/// The logits of the read-out among which the answer to a task is sought: `width` of them from `first` on.
struct Head {
  std::size_t first = 0;
  std::size_t width = 0;

  bool operator==(const Head&) const = default;
};

/// Some samples of a data set and what is done to them.
struct Task {
  std::string name;          ///< for people
  std::size_t data_set = 0;  ///< among those of the sequence
  /// The logit of each class of the data set, inside the head; none of classes that the task does not show.
  std::vector<std::optional<std::uint8_t>> logits;
  Head head;
  bool told =
      false;  ///< whether the network is told at test time which task a sample is of, so that it knows the head
  Rendering rendering;
  /// Input j of the network is value pixel_order[j] of the rendered image; empty: value j.
  std::vector<std::uint32_t> pixel_order;
  std::vector<std::uint32_t> train;  ///< numbers of training samples
  std::vector<std::uint32_t> test;   ///< of test samples, or of training samples where those are held back
  bool test_is_held_back = false;

  /// The logits of samples by their labels, which are of classes that the task shows.
  std::vector<std::uint8_t> targets(std::span<const std::uint8_t> labels,
                                    std::span<const std::uint32_t> samples) const;
};

}  // namespace orthospike
