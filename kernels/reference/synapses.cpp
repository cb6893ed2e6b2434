#include "kernels/synapses.hpp"

#include <algorithm>
#include <vector>

#include "kernels/host_view.hpp"
#include "kernels/random.hpp"
#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void execute(ReferenceBackend&, const DeliverSynapses& op) {
  const SynapseTable& table = op.synapses;
  const auto delays = host(table.delays), starts = host(table.starts);
  const auto within = host(table.within);
  const auto weights = host(table.weights);
  const auto arriving = host(op.arriving);
  std::vector<double> sums(table.targets);
  for (std::size_t s = 0; s < arriving.rows; ++s) {
    for (std::size_t j = 0; j < table.targets; ++j)
      sums[j] = op.beta == 0.0F ? 0.0 : static_cast<double>(op.beta) * arriving(s, j);
    for (std::size_t block = 0; block < table.blocks(); ++block) {
      for (std::size_t d = 0; d < delays.size(); ++d) {
        if (delays[d] > op.now + s) continue;
        for (const std::uint32_t source :
             spikes_of_row(op.spikes, (op.now + s - delays[d]) % op.spikes.rows)) {
          const std::size_t at = (block * table.sources + source) * delays.size() + d;
          for (std::size_t k = starts[at]; k < starts[at + 1]; ++k)
            sums[block * table.block + within[k]] += weights[table.own_weights ? k : source];
        }
      }
    }
    for (std::size_t j = 0; j < table.targets; ++j) arriving(s, j) = static_cast<float>(sums[j]);
  }
}

void execute(ReferenceBackend&, const AddPoisson& op) {
  const auto below = host(op.below);
  const auto values = host(op.values.values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint64_t element = op.first * op.values.cols + i;
    const std::uint32_t word = random_block(op.key, element / 4).v[element % 4];
    const auto number = std::ranges::upper_bound(below, word) - below.begin();
    values[i] += op.weight * static_cast<float>(number);
  }
}

template std::shared_ptr<SynapseSteps> make_family(ReferenceBackend&, double&);

}  // namespace orthospike
