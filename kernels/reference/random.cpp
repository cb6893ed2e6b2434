#include "kernels/random.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void ReferenceBackend::do_fill_uniform(View<float> values, float low, float high, const RandomKey& key) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const RandomBlock block = random_block(key, i / 4);
    values.address()[i] = low + (high - low) * unit_uniform(block.v[i % 4]);
  }
}

void ReferenceBackend::do_fill_normal(View<float> values, const RandomKey& key) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const RandomBlock block = random_block(key, i / 2);
    const std::size_t word = 2 * (i % 2);
    values.address()[i] = standard_normal(block.v[word], block.v[word + 1]);
  }
}

}  // namespace orthospike
