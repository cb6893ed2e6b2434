#include "kernels/random_numbers.hpp"

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/host_view.hpp"
#include "kernels/random.hpp"

namespace orthospike {

void execute(CpuBackend& cpu, const FillUniform& op) {
  const auto values = host(op.values);
  for_each_range(cpu.pool(), values.size(), elementwise_piece,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t i = first; i < last; i += 4) {
                     const RandomBlock block = random_block(op.key, i / 4);
                     for (std::size_t word = 0; word < std::min<std::size_t>(4, last - i); ++word)
                       values[i + word] = op.low + (op.high - op.low) * unit_uniform(block.v[word]);
                   }
                 });
}

void execute(CpuBackend& cpu, const FillNormal& op) {
  const auto values = host(op.values);
  for_each_range(cpu.pool(), values.size(), elementwise_piece,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t i = first; i < last; i += 2) {
                     const RandomBlock block = random_block(op.key, i / 2);
                     for (std::size_t part = 0; part < std::min<std::size_t>(2, last - i); ++part)
                       values[i + part] = standard_normal(block.v[2 * part], block.v[2 * part + 1]);
                   }
                 });
}

template std::shared_ptr<RandomNumbers> make_family(CpuBackend&, double&);

}  // namespace orthospike
