#pragma once

#include <Random123/philox.h>

#include <cmath>
#include <cstdint>
#include <numbers>

#include "kernels/random_key.hpp"

namespace orthospike {

using RandomBlock = r123::Philox4x32::ctr_type;

/// Block i of the stream: four independent 32-bit words from Philox4x32-10 (Salmon et al., SC 2011).
R123_CUDA_DEVICE inline RandomBlock random_block(const RandomKey& key, std::uint64_t i) {
  const r123::Philox4x32::ctr_type counter = {{static_cast<std::uint32_t>(i),
                                               static_cast<std::uint32_t>(i >> 32),
                                               static_cast<std::uint32_t>(key.purpose), key.stream}};
  const r123::Philox4x32::key_type philox_key = {
      {static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32)}};
  return r123::Philox4x32()(counter, philox_key);
}

/// Uniform in [0, 1), 24 bits: every value is a float without rounding.
R123_CUDA_DEVICE inline float unit_uniform(std::uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24F;
}

/// Standard normal from two words (Box and Muller).
R123_CUDA_DEVICE inline float standard_normal(std::uint32_t first, std::uint32_t second) {
  const float radius = std::sqrt(-2.0F * std::log(1.0F - unit_uniform(first)));
  return radius * std::cos(2.0F * std::numbers::pi_v<float> * unit_uniform(second));
}

/// Uniform integer in [0, bound); the bias is below bound / 2^32.
inline std::uint32_t bounded(std::uint32_t word, std::uint32_t bound) {
  return static_cast<std::uint32_t>((std::uint64_t{word} * bound) >> 32);
}

}  // namespace orthospike
