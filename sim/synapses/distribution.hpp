#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "kernels/random.hpp"

namespace orthospike {

/// What weights and delays are drawn from. As a text, which a config has:
///   0.1 | uniform(low, high) | normal(mean, deviation) | lognormal(mu, sigma), of the underlying normal as in NEST,
/// each perhaps followed by " in [0, inf]", within which it is drawn again until it falls, or " clipped to [0, 5]".
struct Distribution {
  enum class Kind { constant, uniform, normal, lognormal };
  enum class Outside { kept, redrawn, clipped };

  /// Draws of a value before it is clipped after all, as it is where its bounds hardly ever see one.
  static constexpr std::uint32_t most_attempts = 256;

  Kind kind = Kind::constant;
  double a = 0;  ///< the value, low, mean or mu
  double b = 0;  ///< high, deviation or sigma
  Outside outside = Outside::kept;
  double lowest = -std::numeric_limits<double>::infinity();
  double highest = std::numeric_limits<double>::infinity();

  /// Throws ConfigError, which begins with `key`, for other texts and for what cannot be drawn: a deviation below 0, low
  /// above high, bounds that no value can meet, values beyond single precision.
  static Distribution parse(const std::string& key, const std::string& text);
  std::string text() const;

  /// The value, where there is but one.
  std::optional<double> constant() const;

  /// Of words (0, 1) of the element's block if `half` is 0, (2, 3) if it is 1. The stream of `key` is a multiple of
  /// most_attempts: attempt n is of block `element` of stream + n.
  double draw(const RandomKey& key, std::uint64_t element, unsigned half) const {
    return draw(random_block(key, element), key, element, half);
  }
  /// The same from the block of attempt 0, which two values may share.
  double draw(const RandomBlock& block, const RandomKey& key, std::uint64_t element, unsigned half) const;

  bool operator==(const Distribution&) const = default;

 private:
  /// The least and the largest value, without bounds.
  std::pair<double, double> support() const;
  /// The largest magnitude that is drawn, without bounds.
  double largest() const;
  double unbounded(std::uint32_t first, std::uint32_t second) const;
};

}  // namespace orthospike
