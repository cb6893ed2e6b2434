#include "kernels/random_numbers.hpp"

#include "kernels/host_view.hpp"
#include "kernels/random.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void execute(ReferenceBackend&, const FillUniform& op) {
  const auto values = host(op.values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const RandomBlock block = random_block(op.key, i / 4);
    values[i] = op.low + (op.high - op.low) * unit_uniform(block.v[i % 4]);
  }
}

void execute(ReferenceBackend&, const FillNormal& op) {
  const auto values = host(op.values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const RandomBlock block = random_block(op.key, i / 2);
    const std::size_t word = 2 * (i % 2);
    values[i] = standard_normal(block.v[word], block.v[word + 1]);
  }
}

template std::shared_ptr<RandomNumbers> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
