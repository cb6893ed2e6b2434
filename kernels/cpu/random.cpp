#include "kernels/random.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"

namespace orthospike {

void CpuBackend::do_fill_uniform(View<float> values, float low, float high, const RandomKey& key) {
  for_each_range(pool_, values.size(), elementwise_piece,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t i = first; i < last; i += 4) {
                     const RandomBlock block = random_block(key, i / 4);
                     for (std::size_t word = 0; word < std::min<std::size_t>(4, last - i); ++word) {
                       values.address()[i + word] = low + (high - low) * unit_uniform(block.v[word]);
                     }
                   }
                 });
}

void CpuBackend::do_fill_normal(View<float> values, const RandomKey& key) {
  for_each_range(pool_, values.size(), elementwise_piece,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t i = first; i < last; i += 2) {
                     const RandomBlock block = random_block(key, i / 2);
                     for (std::size_t part = 0; part < std::min<std::size_t>(2, last - i); ++part) {
                       values.address()[i + part] = standard_normal(block.v[2 * part], block.v[2 * part + 1]);
                     }
                   }
                 });
}

}  // namespace orthospike
